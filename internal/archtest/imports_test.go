package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// layer is the height of a package; imports may only go to lower layers, or stay within one part.
func layer(path string) (height int, part string) {
	rest := strings.TrimPrefix(path, "greenroom/")
	top, below, _ := strings.Cut(rest, "/")
	switch top {
	case "coop":
		return 0, top
	case "hub":
		return 1, top
	case "transports":
		name, _, _ := strings.Cut(below, "/")
		return 2, "transports/" + name
	case "web", "loadtests":
		return 3, top
	case "cmd":
		return 4, top
	case "internal":
		if below == "prefix" || below == "msgpack" {
			return 0, rest // a data structure, and an encoding
		}
		return 5, top // test helpers
	}
	return -1, top
}

// allowed are the imports across parts of one layer, each with its reason.
var allowed = map[string]string{
	"transports/socketio → transports/engineio":  "Socket.IO is a protocol on top of Engine.IO",
	"transports/adminui → transports/engineio":   "it shows numbers of connections, which are Engine.IO's",
	"transports/googollee → transports/socketio": "that library's API is a face of our Socket.IO server",
	"transports/googollee → transports/engineio": "its options are those of an Engine.IO server",
}

func TestImportsPointOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "greenroom/...").Output()
	if err != nil {
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			t.Fatalf("go list: %v\n%s", err, ee.Stderr)
		}
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	packages := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages++
		from, part := layer(p.ImportPath)
		if from < 0 {
			t.Errorf("%s: a top-level folder that the architecture does not know", p.ImportPath)
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, "greenroom/") {
				continue
			}
			to, other := layer(imp)
			if part != other && to >= from && allowed[part+" → "+other] == "" {
				t.Errorf("%s imports %s: imports point down, cmd → transports, web, loadtests → hub → coop", p.ImportPath, imp)
			}
		}
	}
	if packages < 4 {
		t.Errorf("only %d packages were looked at", packages)
	}
}
