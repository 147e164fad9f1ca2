package main

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/redis"
	"greenroom/transports/socketio"
	"greenroom/transports/zeromq"
)

// limitRow is a line of a table in docs/limits.md.
type limitRow struct {
	what, option, flag, standard string
	counters                     []string
}

func limitRows(t *testing.T) (rows []limitRow) {
	t.Helper()
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	bare := func(cell string) string { return strings.Trim(cell, " `") }
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 8 || bare(cells[1]) == "what" || strings.HasPrefix(cells[1], "---") {
			continue
		}
		row := limitRow{what: bare(cells[1]), option: bare(cells[2]), flag: bare(cells[3]), standard: bare(cells[4])}
		for counter := range strings.SplitSeq(cells[6], ",") {
			if bare(counter) != "" {
				row.counters = append(row.counters, bare(counter))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// TestLimitsPage: the options, flags, defaults and counters of docs/limits.md are there, and no limit of the command
// line is missing in it.
func TestLimitsPage(t *testing.T) {
	rows := limitRows(t)
	if len(rows) < 25 {
		t.Fatalf("%d limits: is the page read rightly?", len(rows))
	}
	options := map[string]reflect.Type{
		"hub.Options": reflect.TypeFor[hub.Options](), "hub.RelayOptions": reflect.TypeFor[hub.RelayOptions](), "hub.Recovery": reflect.TypeFor[hub.Recovery](),
		"engineio.Options": reflect.TypeFor[engineio.Options](), "socketio.Options": reflect.TypeFor[socketio.Options](), "zeromq.Security": reflect.TypeFor[zeromq.Security](), "http.Server": reflect.TypeFor[http.Server](),
		"zeromq.Options": reflect.TypeFor[zeromq.Options](), "zeromq.WorkOptions": reflect.TypeFor[zeromq.WorkOptions](), "redis.Options": reflect.TypeFor[redis.Options](),
	}
	parser, err := newParser(new(cli))
	if err != nil {
		t.Fatal(err)
	}
	standards, missing := make(map[string]string), make(map[string]bool)
	limit := regexp.MustCompile(`^(max-.*|.*-rate|.*-burst|.*-bytes|connect-timeout|header-timeout|body-timeout|ping-timeout)$`)
	for _, f := range parser.Model.Children[0].Flags {
		standards["--"+f.Name] = f.Default
		if limit.MatchString(f.Name) {
			missing["--"+f.Name] = true
		}
	}
	source := sources(t, "../../hub", "../../transports")
	for _, r := range rows {
		i := strings.LastIndexByte(r.option, '.')
		if i < 0 || options[r.option[:i]] == nil {
			t.Errorf("%s: no option is called %q", r.what, r.option)
		} else if _, ok := options[r.option[:i]].FieldByName(r.option[i+1:]); !ok {
			t.Errorf("%s: no option is called %q", r.what, r.option)
		}
		if r.flag != "" {
			if standards[r.flag] != r.standard {
				t.Errorf("%s: the default of %s is %q, not %q", r.what, r.flag, standards[r.flag], r.standard)
			}
			delete(missing, r.flag)
		}
		for _, counter := range r.counters {
			if !strings.Contains(source, `"`+counter+`"`) {
				t.Errorf("%s: nothing counts %s", r.what, counter)
			}
		}
	}
	for flag := range missing {
		t.Errorf("%s is not in docs/limits.md", flag)
	}
}

// sources is all Go code below some directories, without tests.
func sources(t *testing.T, dirs ...string) string {
	t.Helper()
	var all strings.Builder
	for _, dir := range dirs {
		err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(dir + "/" + path)
			all.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// TestFlagDefaultsAreTheLibrarys: a server without flags is one with the options' defaults.
func TestFlagDefaultsAreTheLibrarys(t *testing.T) {
	c := parse(t).Serve.Clients
	same := func(name string, flags, zero any) {
		t.Helper()
		a, b := reflect.ValueOf(flags), reflect.ValueOf(zero)
		for i := range a.NumField() {
			if f := a.Type().Field(i); f.Type.Comparable() && f.Type.Kind() != reflect.Interface && f.Type.Kind() != reflect.Pointer && !a.Field(i).Equal(b.Field(i)) {
				t.Errorf("%s.%s is %v with flags that are not set, %v with options that are not", name, f.Name, a.Field(i), b.Field(i))
			}
		}
	}
	o := c.hubOptions()
	o.ReleaseMemory = false // which is for whoever owns the process: the program does, a library does not
	flags, zero := newHub(t, o), newHub(t, hub.Options{})
	same("hub.Options", flags.Options(), zero.Options())
	withFlags, withZero := socketio.New(flags, c.socketOptions()), socketio.New(zero, socketio.Options{})
	same("engineio.Options", withFlags.Engine().Options(), withZero.Engine().Options())
}

func newHub(t *testing.T, o hub.Options) *hub.Hub {
	t.Helper()
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestClientFlags: what the flags say is what clients find.
func TestClientFlags(t *testing.T) {
	const open = "/socket.io/?EIO=4&transport=polling"
	r := serve(t, "--max-message", "5000", "--cookie", "lb", "--allow-eio3", "--max-sessions", "3", "--address-handshake-rate", "1000",
		"--ping-interval", "7s", "--cors-origin", "https://a.example", "--cors-credentials", "--trusted-proxy", "127.0.0.0/8", "--recovery", "1m", "--compress")
	req, err := http.NewRequest(http.MethodGet, r.url+open, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://a.example")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Set-Cookie"); !strings.HasPrefix(got, "lb=") || strings.Contains(got, "Secure") {
		t.Errorf("the cookie is %q", got)
	}
	if got := res.Header.Get("Access-Control-Allow-Credentials"); got != "true" {
		t.Errorf("credentials are allowed: %q", got)
	}
	code, body := get(t, r.url+open)
	if code != 200 || !strings.Contains(body, `"pingInterval":7000`) || !strings.Contains(body, `"maxPayload":5000`) {
		t.Errorf("%d %s", code, body)
	}
	leaveLater := []string{body}
	first, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	leaveLater = append(leaveLater, string(first))
	code, body = get(t, r.url+strings.Replace(open, "4", "3", 1))
	_, old, ok := strings.Cut(body, `:0{"sid":"`)
	if code != 200 || !ok {
		t.Errorf("protocol 3: %d %s", code, body)
	}
	if code, body := get(t, r.url+open); code != 503 || !strings.Contains(body, "Server is full") {
		t.Errorf("one too many: %d %s", code, body)
	}
	for _, open := range leaveLater {
		leave(t, r.url, open)
	}
	sid, _, _ := strings.Cut(old, `"`)
	bye, err := http.Post(r.url+strings.Replace(open, "4", "3", 1)+"&sid="+sid, "text/plain;charset=UTF-8", strings.NewReader("1:1"))
	if err != nil {
		t.Fatal(err)
	}
	bye.Body.Close()
}
