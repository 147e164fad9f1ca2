package coophttp_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// certificate is httptest's, for 127.0.0.1.
var certificate = sync.OnceValue(func() tls.Certificate {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Certificates[0]
})

// trust is a client's configuration for it.
func trust(t *testing.T) *tls.Config {
	t.Helper()
	leaf, err := x509.ParseCertificate(certificate().Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{RootCAs: roots}
}

func TestServerTLS_78_79(t *testing.T) {
	s := serve(t, &coophttp.Server{
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate()}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS == nil || !r.TLS.HandshakeComplete {
				t.Error("the handler is not told of the TLS")
			}
			io.Copy(w, r.Body)
		}),
	})
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	use := func(c *http.Client) {
		for range 3 {
			resp, err := c.Post("https://"+s.addr, "x/y", bytes.NewReader(data))
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
	}
	t.Run("net/http", func(t *testing.T) {
		c := client(t)
		c.Transport.(*http.Transport).TLSClientConfig = trust(t)
		use(c)
	})
	t.Run("coophttp", func(t *testing.T) {
		inLoop(t, &coophttp.Transport{TLS: trust(t)}, func(g *coop.Greenlet, c *http.Client) error {
			use(c)
			return nil
		})
	})
	t.Run("idle connections end with the server", func(t *testing.T) {
		inLoop(t, &coophttp.Transport{TLS: trust(t)}, func(g *coop.Greenlet, c *http.Client) error {
			use(c)
			_, err := coop.Await(g, func() (int, error) { return 0, s.loop.Call(s.Stop) })
			return err
		})
	})
}
