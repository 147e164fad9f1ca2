package drivers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// HTTP asks a web server through http.Client. The transport of net/http has two goroutines for each connection;
// that of coophttp has none, and limits the connections by itself.
type HTTP struct {
	client *http.Client
	url    string
}

// NewHTTP prepares a pool of connections that live on a loop, to a server that is a [Handler].
func NewHTTP(l *coop.Loop, url string, conns int) *HTTP {
	return &HTTP{&http.Client{Transport: &coophttp.Transport{Loop: l, MaxPerHost: conns}}, url}
}

// Fill does nothing: the server calculates.
func (h *HTTP) Fill(*coop.Greenlet, int) error { return nil }

// Square is one request.
func (h *HTTP) Square(g *coop.Greenlet, n int) (int, error) { return h.square(g, n) }

func (h *HTTP) square(ctx context.Context, n int) (_ int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"?n="+strconv.Itoa(n), nil)
	if err != nil {
		return 0, err
	}
	resp, err := h.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", resp.Status, body)
	}
	return strconv.Atoi(string(body))
}

// Close closes the connections that nobody uses.
func (h *HTTP) Close() error {
	h.client.CloseIdleConnections()
	return nil
}

// Handler answers ?n=7 with 49.
func Handler(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, strconv.Itoa(n*n))
}
