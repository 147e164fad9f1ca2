package engineio

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// HTTPCompression says when the answers to polls are compressed, for clients that accept gzip or deflate.
type HTTPCompression struct {
	// Off sends everything as it is.
	Off bool
	// Threshold is the size in bytes from which an answer is compressed, default 1024: a smaller one fits a
	// packet of the network anyway.
	Threshold int
}

// compressLevel favours time over size, as the CPU is shared with the loops: 8 KB of JSON events take 40 µs,
// a tenth of what Go's own compress/gzip needs at its usual level for a result that is 8 % smaller.
const compressLevel = flate.BestSpeed

// compressor is what gzip and zlib writers have in common.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// encoding is a content coding of HTTP with the compressors that are not in use. One holds half
// a megabyte, so they are shared by all answers.
type encoding struct {
	name string
	pool sync.Pool
}

// encodings in the order in which they are preferred.
var encodings = []*encoding{
	{name: "gzip", pool: sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(io.Discard, compressLevel) // the level is valid
		return w
	}}},
	{name: "deflate", pool: sync.Pool{New: func() any {
		w, _ := zlib.NewWriterLevel(io.Discard, compressLevel) // RFC 9110: "deflate" is the zlib format
		return w
	}}},
}

// compress returns body in the coding e.
func (e *encoding) compress(body []byte) []byte {
	w := e.pool.Get().(compressor)
	defer e.pool.Put(w)
	var out bytes.Buffer
	out.Grow(len(body) / 4)
	w.Reset(&out)
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	w.Reset(io.Discard) // else the pool keeps the buffer
	return out.Bytes()
}

// compressed returns body as r's client is to get it, and sets Content-Encoding when it is compressed.
func (o *HTTPCompression) compressed(h http.Header, r *http.Request, body []byte) []byte {
	e := o.coding(r, body)
	if e == nil {
		return body
	}
	h.Set("Content-Encoding", e.name)
	return e.compress(body)
}

// coding is the one in which r's client is to get body, or nil.
func (o *HTTPCompression) coding(r *http.Request, body []byte) *encoding {
	if o.Off || len(body) < o.Threshold {
		return nil
	}
	return accepted(r.Header["Accept-Encoding"])
}

// accepted chooses a coding by the client's header (RFC 9110, section 12.5.3): the one of greater weight, of
// equal ones gzip. nil: the client takes none.
func accepted(header []string) *encoding {
	var best *encoding
	var bestWeight float64
	for _, e := range encodings {
		if w := weight(header, e.name); w > bestWeight {
			best, bestWeight = e, w
		}
	}
	return best
}

// weight is the weight that the header gives to a coding, by its name or by a star; 0: not acceptable.
func weight(header []string, name string) float64 {
	star := 0.0
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			coding, params, _ := strings.Cut(item, ";")
			w := 1.0
			if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
				w, _ = strconv.ParseFloat(q, 64) // what is no number is 0
			}
			switch coding = strings.TrimSpace(coding); {
			case strings.EqualFold(coding, name):
				return w
			case coding == "*":
				star = w
			}
		}
	}
	return star
}
