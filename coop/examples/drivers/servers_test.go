package drivers

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/internal/testenv"
)

// serveHTTP makes the test binary the web server of the tests, so that its work is not counted with the client's.
const serveHTTP = "DRIVERS_SERVE_HTTP"

func TestMain(m *testing.M) {
	if addr := os.Getenv(serveHTTP); addr != "" {
		fmt.Fprintln(os.Stderr, http.ListenAndServe(addr, http.HandlerFunc(Handler)))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// asUser is the option that lets a server run as root, when the tests do.
func asUser(t testing.TB, option string) []string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if u.Uid != "0" {
		return nil
	}
	return []string{option}
}

func startMemcached(t testing.TB) (*testenv.Process, string) {
	port := testenv.FreePort(t)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	return testenv.Start(t, testenv.Command{
		Path:  testenv.Program(t, "memcached", "memcached"),
		Args:  append([]string{"-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-t", "2"}, asUser(t, "--user=root")...),
		Ready: testenv.ReadyTCP(addr),
	}), addr
}

func startRedis(t testing.TB) (*testenv.Process, string) {
	port := testenv.FreePort(t)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	return testenv.Start(t, testenv.Command{
		Path: testenv.Program(t, "redis-server", "redis-server"),
		Args: []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no",
			"--dir", t.TempDir()},
		Ready: testenv.ReadyTCP(addr),
	}), addr
}

func startHTTP(t testing.TB) (*testenv.Process, string) {
	addr := testenv.FreeAddr(t)
	return testenv.Start(t, testenv.Command{
		Path:  os.Args[0],
		Env:   []string{serveHTTP + "=" + addr},
		Ready: testenv.ReadyTCP(addr),
	}), "http://" + addr + "/"
}

// startMariaDB starts a server with an empty database and returns its address for go-sql-driver/mysql.
func startMariaDB(t testing.TB) (*testenv.Process, string) {
	mariadbd := testenv.Program(t, "mariadbd", "mariadb-server")
	install := testenv.Program(t, "mariadb-install-db", "mariadb-server")
	// Not t.TempDir: the path of a unix socket has at most 107 bytes.
	dir, err := os.MkdirTemp("", "drivers")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data := "--datadir=" + filepath.Join(dir, "data")
	root := asUser(t, "--user=root")
	args := append([]string{"--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"}, root...)
	if out, err := exec.Command(install, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", install, err, out)
	}
	port := testenv.FreePort(t)
	// Nobody has to log in, and nothing has to survive a crash.
	args = append([]string{"--no-defaults", data, "--skip-grant-tables", "--skip-log-bin", "--tmpdir=" + dir,
		"--socket=" + filepath.Join(dir, "socket"), "--pid-file=" + filepath.Join(dir, "pid"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--skip-networking=OFF",
		"--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"}, root...)
	dsn := fmt.Sprintf("root@tcp(127.0.0.1:%d)/", port)
	p := testenv.Start(t, testenv.Command{
		Path:  mariadbd,
		Args:  args,
		Ready: testenv.ReadyOutput("ready for connections"),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE DATABASE drivers"); err != nil {
		t.Fatalf("%v\n%s", err, p.Output())
	}
	return p, dsn + "drivers?interpolateParams=true"
}
