package doctest

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// codeSpan is what stands between backticks.
var codeSpan = regexp.MustCompile("`([^`]+)`")

// goSpans are the snippets of Go in a page like docs/socketio.md: in tables, what stands in code in the second column, and
// in the third one and the prose whatever calls a method of one of its variables, or names something of a package.
func goSpans(text string) (cells, others []string) {
	ours := regexp.MustCompile(`^\*?(h|ns|s|t|ev|snap|f|srv|hub|socketio|engineio|adminui|web)\.[A-Z]`)
	for line := range strings.Lines(text) {
		if columns := strings.Split(line, " | "); strings.HasPrefix(line, "| ") && len(columns) > 1 {
			for _, m := range codeSpan.FindAllStringSubmatch(columns[1], -1) {
				cells = append(cells, m[1])
			}
			line = strings.Join(columns[2:], " | ")
		}
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			if ours.MatchString(m[1]) {
				others = append(others, m[1])
			}
		}
	}
	return cells, others
}

// statement makes a Go statement of a snippet: a call as it is, a value or a method assigned, a type declared.
func statement(snippet string) (string, error) {
	if pointer, ok := strings.CutPrefix(snippet, "*"); ok {
		return "var _ *" + pointer, nil
	}
	x, err := parser.ParseExpr(snippet)
	if err != nil {
		return "", err
	}
	switch x.(type) {
	case *ast.CallExpr:
		return snippet, nil
	case *ast.SelectorExpr:
		// hub.X may be a type, which is no value.
		if types[snippet] {
			return "var _ " + snippet, nil
		}
		return "_ = " + snippet + generic[snippet], nil
	}
	return "_ = " + snippet, nil
}

// types and generic are what the page names without using it, and the types that generic functions need then.
var (
	types = map[string]bool{
		"hub.Hub": true, "hub.Session": true, "hub.Namespace": true, "hub.Target": true, "hub.Event": true, "hub.Events": true,
		"hub.Snapshot": true, "hub.Family": true, "hub.Answer": true, "hub.Adapter": true, "hub.Options": true,
		"socketio.Options": true, "socketio.Server": true,
	}
	generic = map[string]string{"hub.Reply": "[int, int]", "hub.Ask": "[int]"}
)

const snippetsHead = `package snippets

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"greenroom/hub"
	"greenroom/transports/adminui"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
	"greenroom/web"
)

func _(
	h *hub.Hub, ns *hub.Namespace, s *hub.Session, t hub.Target, ev *hub.Event, snap hub.Snapshot, f *hub.Family, srv *socketio.Server,
	d time.Duration, ctx context.Context, re *regexp.Regexp, adapter hub.Adapter, v any, a, b, id string, err error, r *http.Request,
) {
	_, _ = engineio.Options{}, web.Client
`

// Everything in the Go column of docs/socketio.md compiles, and so does what the rest of the page says of packages.
func TestTheGoOfTheSocketIOPageCompiles(t *testing.T) {
	cells, others := goSpans(read(t, "docs/socketio.md"))
	if len(cells) < 80 || len(others) < 40 {
		t.Errorf("%d cells and %d other snippets: is the page read rightly?", len(cells), len(others))
	}
	var src strings.Builder
	src.WriteString(snippetsHead)
	var all []string
	for _, snippet := range append(cells, others...) {
		st, err := statement(snippet)
		if err != nil {
			t.Errorf("%s: %v", snippet, err)
			continue
		}
		all = append(all, snippet)
		fmt.Fprintf(&src, "//line snippet:%d\n\t%s\n", len(all), st)
	}
	src.WriteString("}\n")
	compiles(t, src.String(), all)
}

// compiles compiles a file of snippets, each of which has the line snippet:N, counted from 1. It exists for the compiler
// only.
func compiles(t *testing.T, src string, all []string) {
	t.Helper()
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "snippets.go"), filepath.Join(dir, "overlay.json")
	place, err := filepath.Abs(filepath.Join(root, "internal/doctest/snippets/snippets.go"))
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{place: file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{file: []byte(src), overlay: replace} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-gcflags=-e", "-overlay", overlay, "./internal/doctest/snippets")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	t.Errorf("%v\n%s", err, out)
	for _, m := range regexp.MustCompile(`snippet:(\d+)`).FindAllStringSubmatch(string(out), -1) {
		var n int
		if _, err := fmt.Sscan(m[1], &n); err == nil && n >= 1 && n <= len(all) {
			t.Errorf("%d is %s", n, all[n-1])
		}
	}
}

// Each call of Node.js that an application knows has a row.
func TestTheSocketIOPageHasARowForEachCall(t *testing.T) {
	var left strings.Builder
	for line := range strings.Lines(read(t, "docs/socketio.md")) {
		if strings.HasPrefix(line, "| ") {
			node, _, _ := strings.Cut(line[2:], " | ")
			left.WriteString(node + "\n")
		}
	}
	for _, call := range []string{
		`io.on("connection"`, "io.of(", "io.use(", "socket.use(", "socket.on(", "socket.once(", "socket.off(", "socket.onAny(",
		"socket.prependAny(", "socket.onAnyOutgoing(", "socket.emit(", "emitWithAck(", "socket.send(", "socket.timeout(", ".volatile",
		"socket.broadcast", ".local", ".to(", "io.in(", "except(", "socket.join(", "socket.leave(", "socket.rooms", "socket.id",
		"socket.data", "socket.handshake", "socket.connected", "socket.conn", "socket.nsp", "socket.disconnect()",
		"socket.disconnect(true)", "fetchSockets(", "socketsJoin(", "socketsLeave(", "disconnectSockets(", "serverSideEmit(",
		"serverSideEmitWithAck(", "allSockets(", "disconnecting", `"disconnect"`, `"error"`, "new_namespace", "clientsCount",
		"create-room", "delete-room", "join-room", "leave-room", "io.close()", "remoteSocket",
		"path", "serveClient", "connectTimeout", "pingInterval", "pingTimeout", "upgradeTimeout", "maxHttpBufferSize", "transports",
		"allowUpgrades", "cors", "allowRequest", "cleanupEmptyChildNamespaces", "adapter",
	} {
		if !strings.Contains(left.String(), call) {
			t.Errorf("no row for %s", call)
		}
	}
}
