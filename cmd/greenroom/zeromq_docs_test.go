package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"greenroom/internal/testenv"
)

// documentedLayout is a layout's section in docs/zeromq.md.
type documentedLayout struct {
	name, hears string
	args        []string
	code        map[string]string // by language
}

func documentedLayouts(t *testing.T) (found []documentedLayout) {
	t.Helper()
	page, err := os.ReadFile("../../docs/zeromq.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range strings.Split(string(page), "\n### ")[1:] {
		d := documentedLayout{code: make(map[string]string)}
		d.name, section, _ = strings.Cut(section, "\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)\n```$").FindAllStringSubmatch(section, -1) {
			switch language, text := m[1], m[2]; {
			case language == "console":
				d.args = strings.Fields(text)[1:]
			case language == "text":
				d.hears = text
			case d.code[language] == "":
				d.code[language] = text
			default:
				d.code[language+" again"] = text
			}
		}
		found = append(found, d)
	}
	return found
}

// TestZeroMQPublishers runs what docs/zeromq.md shows for each layout, in each language and with its real library,
// against the real program.
func TestZeroMQPublishers(t *testing.T) {
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	sections := documentedLayouts(t)
	if len(sections) != 7 {
		t.Fatalf("%d layouts are documented, there are 7", len(sections))
	}
	dir := t.TempDir()
	for _, language := range []string{"python", "c", "js", "go"} {
		t.Run(language, func(t *testing.T) {
			publish := map[string]func(*testing.T, string, string) string{"python": asPython, "c": asC, "js": asNode, "go": asGo}[language]
			for _, d := range sections {
				t.Run(d.name, func(t *testing.T) {
					server := start(t, bin, d.args...)
					ear := newListener(t, server.url)
					for _, code := range []string{d.code[language], d.code[language+" again"]} {
						if code != "" {
							publish(t, filepath.Join(dir, language+"-"+d.name), server.moved(code))
							ear.expect(d.hears + " from zeromq")
						}
					}
					if d.code[language] == "" {
						t.Error("no code")
					}
				})
			}
		})
	}
}

// TestZeroMQSubscribers runs what docs/zeromq-subscribers.md shows in each language: each prints what the room retains.
func TestZeroMQSubscribers(t *testing.T) {
	page := mustRead(t, "../../docs/zeromq-subscribers.md")
	server := start(t, testenv.Build(t, "greenroom/cmd/greenroom"), "--zmq-pull-retain")
	if code, _, said := command(t, "publish", "lobby", "price", `{"eur": 4.2}`, "--to", server.pull); code != 0 {
		t.Fatal(said)
	}
	dir := t.TempDir()
	for language, run := range map[string]func(*testing.T, string, string) string{"python": asPython, "c": asC, "js": asNode, "go": asGo} {
		t.Run(language, func(t *testing.T) {
			m := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)\n```$").FindStringSubmatch(page)
			if m == nil {
				t.Fatal("no code")
			}
			out := run(t, filepath.Join(dir, language), server.moved(m[1]))
			for _, frame := range []string{"lobby", "price", `{"eur":4.2}`, `"retained":true`} {
				if !strings.Contains(out, frame) {
					t.Errorf("no %s in %s", frame, out)
				}
			}
		})
	}
}

// runs waits for a command that ends, and returns what it has said.
func runs(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

func asPython(t *testing.T, _, code string) string {
	return runs(t, exec.Command(testenv.Python(t, "zmq"), "-c", "import zmq\n"+code+"\ns.close(); s.context.term()"))
}

func asC(t *testing.T, at, code string) string {
	gcc := testenv.C(t, "zmq.h", "libzmq3-dev")
	source := "#include <stdio.h>\n#include <zmq.h>\nint main(void) {\nvoid *context = zmq_ctx_new();\n" + code + "\nzmq_close(s);\nreturn zmq_ctx_term(context);\n}\n"
	write(t, at+".c", source)
	runs(t, exec.Command(gcc, "-Wall", "-Werror", "-Wno-overflow", "-o", at, at+".c", "-lzmq"))
	return runs(t, exec.Command(at))
}

func asNode(t *testing.T, at, code string) string {
	node, peer := testenv.Node(t), "../../transports/zeromq/testdata/nodejs"
	testenv.NPM(t, peer)
	modules, err := filepath.Abs(filepath.Join(peer, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(filepath.Dir(at), "node_modules")
	if err := os.Symlink(modules, link); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	write(t, at+".mjs", "import { Push, Subscriber } from \"zeromq\";\n"+code+"\ns.close();\n")
	return runs(t, exec.Command(node, at+".mjs"))
}

func asGo(t *testing.T, at, code string) string {
	source := "package main\n\nimport (\n\t\"context\"\n\t\"errors\"\n\t\"fmt\"\n\n\t\"github.com/go-zeromq/zmq4\"\n)\n\nvar _ = fmt.Print // what subscribers say\n\nfunc main() {\n" + code +
		"\nif err := errors.Join(err, s.Close()); err != nil {\npanic(err)\n}\n}\n"
	write(t, at+".go", source)
	cmd := exec.Command("go", "run", at+".go")
	return runs(t, cmd) // in this module, which has the library
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
