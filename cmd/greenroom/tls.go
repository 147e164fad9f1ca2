package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"greenroom/coop"
)

const (
	// http2Streams is how many requests one HTTP/2 connection may have open. A browser puts all tabs of a site
	// on one connection, where each polling session has a GET waiting and now and then a POST. Each costs a
	// goroutine, so it is also what one connection can make the server hold.
	http2Streams = 128
	// http2Stall bounds how long an HTTP/2 client may take nothing of what is sent to it.
	http2Stall = 30 * time.Second
)

// certificate is the server's, as its files had it when they were last read.
type certificate struct {
	certFile, keyFile string
	now               atomic.Pointer[tls.Certificate]
}

// loadCertificate reads the certificate's files. A file holds PEM, the certificate's with the chain behind it.
func loadCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	return c, c.load()
}

// load reads the files again. When that fails the certificate stays what it was.
func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.certFile, c.keyFile, err)
	}
	if pair.Leaf == nil { // as a GODEBUG setting may have it
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("--tls-cert %s: %w", c.certFile, err)
		}
	}
	c.now.Store(&pair)
	return nil
}

// reload is load for a server that runs on whatever happens.
func (c *certificate) reload(log *slog.Logger) {
	if err := c.load(); err != nil {
		log.Error("the old certificate stays", "error", err)
		return
	}
	c.describe(log)
}

// describe logs for how long the certificate can be used.
func (c *certificate) describe(log *slog.Logger) {
	leaf := c.now.Load().Leaf
	level := slog.LevelInfo
	if time.Now().After(leaf.NotAfter) {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "certificate loaded", "file", c.certFile, "names", leaf.DNSNames, "until", leaf.NotAfter)
}

// config is that of a TLS server. HTTP/2 is offered by net/http, which adds it.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.now.Load(), nil
		},
	}
}

// serveTLS is http.Server.Serve for a server with a certificate: HTTP/1.1, with WebSockets that live on the
// loops, and HTTP/2.
func (s *server) serveTLS() error {
	s.http.TLSConfig = s.cert.config()
	s.http.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: http2Streams, WriteByteTimeout: http2Stall}
	return s.http.ServeTLS(coop.Detachable(s.listener), "", "")
}
