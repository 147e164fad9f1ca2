package zeromq

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"greenroom/transports/zeromq/internal/guard"
)

// PublicKey is a Curve25519 public key of CURVE. Its text is the 40 letters of Z85 that all ZeroMQ libraries take.
type PublicKey [32]byte

// String is the key in Z85.
func (k PublicKey) String() string { return guard.EncodeKey(guard.Key(k)) }

// ParsePublicKey reads a key in Z85.
func ParsePublicKey(s string) (PublicKey, error) {
	k, err := guard.DecodeKey(s)
	return PublicKey(k), err
}

// SecretKey is a Curve25519 secret key. It does not print.
type SecretKey [32]byte

// String hides the key from logs.
func (SecretKey) String() string { return "(a secret key)" }

// GoString hides the key from logs.
func (k SecretKey) GoString() string { return k.String() }

// Z85 is the key as other ZeroMQ libraries take it.
func (k SecretKey) Z85() string { return guard.EncodeKey(guard.Key(k)) }

// Public is the public key that belongs to the secret one.
func (k SecretKey) Public() PublicKey {
	secret := guard.Key(k)
	return PublicKey(guard.PublicKey(&secret))
}

// IsZero reports whether there is no key.
func (k SecretKey) IsZero() bool { return k == SecretKey{} }

// NewSecretKey makes a key.
func NewSecretKey() (k SecretKey, err error) {
	_, err = rand.Read(k[:])
	return k, err
}

// Certificate is the content of a key file in the format of pyzmq (zmq.auth.create_certificates) and czmq.
type Certificate struct {
	Public   PublicKey
	Secret   SecretKey         // zero in a file of a public key
	Metadata map[string]string // user, name, publish, read, control, and what others put there
}

// Files of a certificate end with these.
const (
	publicSuffix = ".key"
	secretSuffix = ".key_secret"
)

// ReadCertificate reads a key file, of either kind.
func ReadCertificate(file string) (Certificate, error) {
	z, err := readZPL(file)
	if err != nil {
		return Certificate{}, err
	}
	c, err := certificateOf(z)
	if err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func certificateOf(z zpl) (c Certificate, err error) {
	c.Metadata = z["metadata"]
	public, ok := z["curve"]["public-key"]
	if !ok {
		return c, errors.New("no public-key in a section curve: not a certificate of CURVE")
	}
	if c.Public, err = ParsePublicKey(public); err != nil {
		return c, fmt.Errorf("public-key: %w", err)
	}
	secret, ok := z["curve"]["secret-key"]
	if !ok {
		return c, nil
	}
	k, err := guard.DecodeKey(secret)
	if err != nil {
		return c, fmt.Errorf("secret-key: %w", err)
	}
	c.Secret = SecretKey(k)
	if c.Secret.Public() != c.Public {
		return c, errors.New("the public-key does not belong to the secret-key")
	}
	return c, nil
}

const (
	publicBanner = `#   ZeroMQ CURVE Public Certificate
#   Give it to those who shall know who this is. Permissions are what the server finds in its own copy.

`
	secretBanner = `#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

`
)

// WriteCertificates writes dir/name.key and, readable by this user only, dir/name.key_secret. It overwrites nothing.
func WriteCertificates(dir, name string, secret SecretKey, metadata map[string]string) (publicFile, secretFile string, err error) {
	if !zplName.MatchString(name) || strings.Contains(name, "/") || strings.HasPrefix(name, ".") {
		return "", "", fmt.Errorf("%q is no name for a key: want letters, digits and _ . @ + -", name)
	}
	var head strings.Builder
	head.WriteString("metadata\n")
	for _, k := range slices.Sorted(maps.Keys(metadata)) {
		v, err := quoteZPL(metadata[k])
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", k, err)
		}
		if !zplName.MatchString(k) || strings.HasPrefix(k, "public-key") || strings.HasPrefix(k, "secret-key") {
			return "", "", fmt.Errorf("metadata cannot have the name %q", k)
		}
		fmt.Fprintf(&head, "    %s = %s\n", k, v)
	}
	fmt.Fprintf(&head, "curve\n    public-key = \"%s\"\n", secret.Public())
	publicFile, secretFile = filepath.Join(dir, name+publicSuffix), filepath.Join(dir, name+secretSuffix)
	// The secret one first: it is the one that must not be lost behind an error.
	err = writeNew(secretFile, secretBanner+head.String()+fmt.Sprintf("    secret-key = \"%s\"\n", secret.Z85()), 0o600)
	if err != nil {
		return "", "", err
	}
	if err := writeNew(publicFile, publicBanner+head.String(), 0o644); err != nil {
		return "", "", errors.Join(err, os.Remove(secretFile))
	}
	return publicFile, secretFile, nil
}

func writeNew(file, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// permissions makes a principal of metadata: user (def without it), name, publish and read (patterns), control ("true").
// Where none of the three is said, it may publish and read everything, and not control.
func permissions(get func(string) string, def string) (*Principal, error) {
	p := &Principal{User: get("user"), Name: get("name")}
	if p.User == "" {
		p.User = def
	}
	publish, read, control := get("publish"), get("read"), get("control")
	if publish == "" && read == "" && control == "" {
		p.Publish, p.Read = Patterns{"*"}, Patterns{"*"}
		return p, nil
	}
	var err error
	if p.Publish, err = ParsePatterns(publish); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if p.Read, err = ParsePatterns(read); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	switch control {
	case "true":
		p.Control = true
	case "", "false":
	default:
		return nil, fmt.Errorf("control: %.16q is neither true nor false", control)
	}
	return p, nil
}
