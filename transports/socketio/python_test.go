package socketio

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"greenroom/internal/testenv"
)

// TestPythonClients has the clients of python-socketio talk to a server of ours, over each transport. The script says
// nothing that does not hold at the Node.js server as well.
func TestPythonClients(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Python and Node.js")
	}
	python := testenv.Python(t, "socketio", "websocket", "requests", "aiohttp")
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	testenv.NPM(t, filepath.Join(dir, "clients"))
	for name, servers := range map[string]map[string]string{
		"greenroom": clientsServers(t),
		"Node.js":   nodeServers(t, filepath.Join(dir, "clients")),
	} {
		addresses, err := json.Marshal(servers)
		if err != nil {
			t.Fatal(err)
		}
		for _, transport := range []string{"websocket", "polling", "upgrade"} {
			t.Run(name+"/"+transport, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
				defer cancel()
				cmd := exec.CommandContext(ctx, python, "client.py")
				cmd.Dir = filepath.Join(dir, "python")
				cmd.Env = append(os.Environ(), "SERVERS="+string(addresses), "TRANSPORT="+transport)
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, 10*time.Second
				if err := cmd.Run(); err != nil {
					t.Errorf("client.py: %v\n%s", err, &out)
				}
			})
		}
	}
}
