package zeromq

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// zpl is a file in the ZeroMQ Property Language (RFC 4), as far as pyzmq and czmq write it: sections at the margin,
// under each of them indented "name = value" lines.
type zpl map[string]map[string]string

const (
	maxZPLBytes    = 1 << 20
	maxZPLSections = 10_000
)

var zplName = regexp.MustCompile(`^[A-Za-z0-9_./@+-]{1,255}$`)

// readZPL reads a file.
func readZPL(file string) (zpl, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := parseZPL(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return z, nil
}

// parseZPL never shows a value in its errors: it may be a secret.
func parseZPL(r io.Reader) (zpl, error) {
	z := make(zpl)
	var section map[string]string
	limited := &io.LimitedReader{R: r, N: maxZPLBytes + 1}
	lines := bufio.NewScanner(limited)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' {
			continue
		}
		name, value, has := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !zplName.MatchString(name) {
			return nil, fmt.Errorf("line %d: want a name, or name = value", n)
		}
		if line[0] != ' ' && line[0] != '\t' {
			if has {
				continue // a value of the file itself, such as a version
			}
			if z[name] == nil {
				z[name] = make(map[string]string)
			}
			if len(z) > maxZPLSections {
				return nil, fmt.Errorf("more than %d sections", maxZPLSections)
			}
			section = z[name]
			continue
		}
		if section == nil {
			return nil, fmt.Errorf("line %d: an indented line under nothing", n)
		}
		if !has {
			continue // a deeper section, which nothing here has
		}
		value, err := unquoteZPL(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if _, twice := section[name]; twice {
			return nil, fmt.Errorf("line %d: %s stands there twice", n, name)
		}
		section[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("more than %d bytes", maxZPLBytes)
	}
	return z, nil
}

// unquoteZPL takes the quotes off, if there are any. ZPL has no escapes.
func unquoteZPL(v string) (string, error) {
	if v == "" || v[0] != '"' && v[0] != '\'' {
		return v, nil
	}
	inside, rest, ok := strings.Cut(v[1:], v[:1])
	if rest = strings.TrimSpace(rest); !ok || rest != "" && rest[0] != '#' {
		return "", fmt.Errorf("a quoted value that does not end with its quote")
	}
	return inside, nil
}

// quoteZPL is the inverse.
func quoteZPL(v string) (string, error) {
	switch {
	case !printable(v):
		return "", fmt.Errorf("value %.64q holds control characters", v)
	case !strings.Contains(v, `"`):
		return `"` + v + `"`, nil
	case !strings.Contains(v, "'"):
		return "'" + v + "'", nil
	}
	return "", fmt.Errorf("value %.64q holds both kinds of quotes", v)
}
