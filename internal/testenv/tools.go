package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Python returns a Python 3 that can import all the modules, for example "zmq". It looks at
// $GREENROOM_PYTHON, then at the system's python3, then at the one in $PATH.
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	program := "import sys; assert sys.version_info[0] == 3"
	for _, m := range modules {
		program += "; import " + m
	}
	var tried []string
	for _, name := range []string{os.Getenv("GREENROOM_PYTHON"), "/usr/bin/python3", "python3"} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if exec.Command(path, "-c", program).Run() == nil {
			return path
		}
		tried = append(tried, path)
	}
	need := "Python 3"
	if len(modules) > 0 {
		need += " with the modules " + strings.Join(modules, ", ") +
			" (install the packages python3-NAME, or `make deps`)"
	}
	missing(t, "this test needs %s; set GREENROOM_PYTHON to its path. Looked at: %s",
		need, strings.Join(append(tried, "nothing else"), ", "))
	return ""
}

// Program returns the path of an installed program, for example "redis-server"; pkg is the package to install
// when there is none. It also looks where Debian keeps servers, which is not in everybody's $PATH.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	for _, name := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "this test needs %s in $PATH: install the package %s", name, pkg)
	return ""
}

// C returns the path of gcc, and makes sure that it finds a header; pkg is the Debian package that has it.
func C(t testing.TB, header, pkg string) string {
	t.Helper()
	gcc := Program(t, "gcc", "gcc")
	cmd := exec.Command(gcc, "-E", "-")
	cmd.Stdin = strings.NewReader("#include <" + header + ">\n")
	if cmd.Run() != nil {
		missing(t, "this test needs the C header %s: install the package %s", header, pkg)
	}
	return gcc
}

// oldestNode is the first major version with a finished node:test.
const oldestNode = 20

// Node returns the path of Node.js 20 or newer.
func Node(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		missing(t, "this test needs Node.js %d or newer as `node` in $PATH (https://nodejs.org)", oldestNode)
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatalf("running %s --version: %v", path, err)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		missing(t, "this test needs Node.js %d or newer; %s is %s", oldestNode, path, version)
	}
	return path
}

// NPM makes sure that a folder with a package-lock.json has the node_modules that it names: `npm ci`
// when there are none or the lock has changed, nothing otherwise. Test binaries that run at the same
// time take turns.
func NPM(t testing.TB, dir string) {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatalf("npm packages: %v", err)
	}
	unlock, err := lockFolder(dir)
	if err != nil {
		t.Fatalf("npm packages of %s: waiting for one's turn: %v", dir, err)
	}
	defer unlock()

	sum := sha256.Sum256(lock)
	want := hex.EncodeToString(sum[:])
	marker := filepath.Join(dir, "node_modules", ".greenroom-lock")
	if have, err := os.ReadFile(marker); err == nil && string(have) == want {
		return
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "this test needs npm in $PATH, which comes with Node.js (https://nodejs.org)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "ci")
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci in %s (it needs the npm registry, or a filled cache): %v\n%s", dir, err, out)
	}
	if err := os.MkdirAll(filepath.Dir(marker), 0o755); err != nil { // npm makes none for no packages
		t.Fatalf("npm packages: %v", err)
	}
	if err := os.WriteFile(marker, []byte(want), 0o644); err != nil {
		t.Fatalf("npm packages: %v", err)
	}
}

// Build compiles a package of the main module, for example "greenroom/cmd/greenroom", also from a test of
// a nested module, and returns the path of the program. All tests share one in bin/tests, which is linked again only
// when something has changed; a program with flags of its own is the test's, and ends with it.
func Build(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	root := filepath.Join(here(t), "..", "..")
	dir := filepath.Join(root, "bin", "tests")
	if len(flags) > 0 {
		dir = t.TempDir()
	} else {
		unlock, err := lockFolder(dir)
		if err != nil {
			t.Fatalf("go build %s: waiting for one's turn: %v", pkg, err)
		}
		defer unlock()
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return path
}
