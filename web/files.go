package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// file is one embedded file, ready to be served.
type file struct {
	body        []byte
	contentType string
	etag        string // quoted
	cache       string // Cache-Control
}

// files is everything that dist holds.
type files struct {
	pages  map[string]file // by path: "/", "/assets/app-ABC.js"
	client map[string]file // by name: "socket.io.min.js"
}

func (s *files) built() bool { return len(s.pages) > 0 && len(s.client) > 0 }

// Revalidate costs one round trip and no body; immutable costs nothing, and is right only for names
// that change with their content.
const (
	revalidate = "no-cache"
	immutable  = "public, max-age=31536000, immutable"
	asNodeJS   = "public, max-age=0"
)

// clientName is the official server's own list of what it serves.
var clientName = regexp.MustCompile(`^socket\.io(\.msgpack|\.esm)?(\.min)?\.js(\.map)?$`)

// IsClient reports whether the last element of a path names one of the client's bundles or source maps:
// requests that belong to [Client], not to the Socket.IO endpoint beside it.
func IsClient(p string) bool { return clientName.MatchString(path.Base(p)) }

// load reads a built dist. What cannot be read is not there: the result is then not built.
func load(dist fs.FS) *files {
	s := &files{pages: map[string]file{}, client: map[string]file{}}
	version, err := fs.ReadFile(dist, "client/version")
	if err != nil {
		return s
	}
	clientTag := `"` + strings.TrimSpace(string(version)) + `"`
	err = fs.WalkDir(dist, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		body, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		f := file{body: body, contentType: typeOf(name), etag: tagOf(body), cache: revalidate}
		switch {
		case strings.HasPrefix(name, "client/"):
			if IsClient(name) {
				f.etag, f.cache = clientTag, asNodeJS
				s.client[path.Base(name)] = f
			}
		case path.Base(name) == "index.html":
			s.pages[strings.TrimSuffix("/"+name, "index.html")] = f
		default:
			if strings.HasPrefix(name, "assets/") {
				f.cache = immutable
			}
			s.pages["/"+name] = f
		}
		return nil
	})
	if err != nil || s.pages["/"].body == nil {
		return &files{}
	}
	return s
}

func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// typeOf is our own table: the system's may be missing or call JavaScript text/plain.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".map", ".json":
		return "application/json; charset=utf-8"
	}
	return "application/octet-stream"
}

func (f *file) reader() *bytes.Reader { return bytes.NewReader(f.body) }
