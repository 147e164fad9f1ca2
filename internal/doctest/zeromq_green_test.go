package doctest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

const greenHead = `package snippets

import (
	"context"
	"time"

	"greenroom/coop"
	"greenroom/transports/zeromq"
	"greenroom/transports/zeromq/zmq"
)

func _(
	g *coop.Greenlet, ctx context.Context, d time.Duration, s *zmq.Socket, p *zmq.Poller, frame []byte, key zeromq.PublicKey,
) {
`

// block makes a block of a snippet that is a statement or a value, in which nothing is unused.
func block(snippet string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+snippet+"\n}", parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	code := snippet
	switch st := f.Decls[0].(*ast.FuncDecl).Body.List[0].(type) {
	case *ast.AssignStmt:
		for _, x := range st.Lhs {
			code += "; _ = " + x.(*ast.Ident).Name
		}
	case *ast.ExprStmt:
		if _, call := st.X.(*ast.CallExpr); !call {
			code = "_ = " + code
		}
	}
	return "{ " + code + " }", nil
}

// What docs/zeromq-green.md tells to write compiles.
func TestTheGoOfTheGreenZeroMQPageCompiles(t *testing.T) {
	var src strings.Builder
	src.WriteString(greenHead)
	var all []string
	for line := range strings.Lines(read(t, "docs/zeromq-green.md")) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 2 {
			continue
		}
		for _, m := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
			st, err := block(m[1])
			if err != nil {
				t.Errorf("%s: %v", m[1], err)
				continue
			}
			all = append(all, m[1])
			fmt.Fprintf(&src, "//line snippet:%d\n\t%s\n", len(all), st)
		}
	}
	src.WriteString("}\n")
	if len(all) < 15 {
		t.Errorf("%d snippets: is the page read rightly?", len(all))
	}
	compiles(t, src.String(), all)
}

// The session that docs/zeromq-green.md shows is the one that a test runs against a service in Python.
func TestTheGreenZeroMQPageShowsTheSessionThatIsRun(t *testing.T) {
	cut := func(name, from, to string) string {
		_, code, ok := strings.Cut(read(t, name), from)
		code, _, closed := strings.Cut(code, to)
		if !ok || !closed {
			t.Fatalf("%s has no session", name)
		}
		return code
	}
	shown := cut("docs/zeromq-green.md", "```go\n", "```\n")
	run := cut("transports/zeromq/zmq/session_test.go", "// shop is", "\n}\n")
	_, run, _ = strings.Cut(run, "\n")
	if run += "\n}\n"; run != shown {
		t.Errorf("the page shows\n%s\nand the test runs\n%s", shown, run)
	}
	if program := cut("docs/zeromq-green.md", "```python\n", "```\n"); !strings.HasSuffix(read(t, "transports/zeromq/zmq/testdata/service.py"), program) {
		t.Errorf("the page shows\n%s\nwhich is not the service that is run", program)
	}
}
