package coop_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"regexp"
	"testing"
)

// Types of TLS records, and a message that asks for new keys and for an answer of the same kind (RFC 8446).
const (
	recordAlert       = 21
	recordHandshake   = 22
	recordApplication = 23

	keyUpdate = "\x18\x00\x00\x01\x01"
)

// sealer writes records of TLS 1.3 as a client does, but whichever it is told to.
type sealer struct {
	t      testing.TB
	c      net.Conn // below TLS
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// tlsSealer makes the handshake over both ends of a connection. What the client says is up to the sealer from then
// on; what it hears, it reads from the tls.Conn.
func tlsSealer(t *testing.T, l, r net.Conn) (local net.Conn, hears *tls.Conn, says *sealer) {
	t.Helper()
	var secrets bytes.Buffer
	local, hears = tlsPairOf(t, l, r, &tls.Config{}, &tls.Config{KeyLogWriter: &secrets, MinVersion: tls.VersionTLS13})
	if suite := hears.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("the two agreed on %s: Go takes AES where the processor knows it", tls.CipherSuiteName(suite))
	}
	m := regexp.MustCompile(`CLIENT_TRAFFIC_SECRET_0 \w+ (\w+)`).FindSubmatch(secrets.Bytes())
	if m == nil {
		t.Fatalf("no secret in %q", &secrets)
	}
	secret, err := hex.DecodeString(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	s := &sealer{t: t, c: r}
	s.use(secret)
	return local, hears, s
}

func (s *sealer) use(secret []byte) {
	s.secret, s.seq, s.iv = secret, 0, s.expand(secret, "iv", 12)
	block, err := aes.NewCipher(s.expand(secret, "key", 16))
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		s.t.Error(err)
	}
}

// expand is HKDF-Expand-Label of RFC 8446, section 7.1.
func (s *sealer) expand(secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(append(info, byte(len("tls13 ")+len(label))), "tls13 "+label+"\x00"...)
	key, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		s.t.Error(err)
	}
	return key
}

// record returns the next record.
func (s *sealer) record(kind byte, content string) []byte {
	plain := append([]byte(content), kind)
	head := binary.BigEndian.AppendUint16([]byte{recordApplication, 3, 3}, uint16(len(plain)+s.aead.Overhead()))
	nonce := bytes.Clone(s.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(s.seq >> (56 - 8*i))
	}
	s.seq++
	return s.aead.Seal(head, nonce, plain, head)
}

// newKeys returns a record that asks for new keys, and uses its own.
func (s *sealer) newKeys() []byte {
	b := s.record(recordHandshake, keyUpdate)
	s.use(s.expand(s.secret, "traffic upd", 32))
	return b
}

func (s *sealer) write(records ...[]byte) {
	s.t.Helper()
	if _, err := s.c.Write(bytes.Join(records, nil)); err != nil {
		s.t.Error(err)
	}
}
