package zeromq

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// BenchmarkCurve is BenchmarkPush with one frame a message, in NULL and in CURVE, to libzmq's own PULL and to ours.
// BenchmarkSeal of the guard is the floor under CURVE.
func BenchmarkCurve(b *testing.B) {
	bin := libzmqBench(b)
	server, err := NewSecretKey()
	if err != nil {
		b.Fatal(err)
	}
	client, err := NewSecretKey()
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{64, 1024} {
		for _, mechanism := range []string{"null", "curve"} {
			name := fmt.Sprintf("bytes=%d/%s", size, mechanism)
			o := Options{Pull: anyPort, PullFormat: Format{Layout: TextSpace}}
			if mechanism == "curve" {
				o.Security = Security{CurveKey: server, AllowAny: true}
			}
			clientEnv := func(b *testing.B) {
				if mechanism == "curve" {
					b.Setenv("CURVE_SECRET", client.Z85())
					b.Setenv("CURVE_PUBLIC", client.Public().String())
					b.Setenv("CURVE_SERVER", server.Public().String())
				}
			}
			b.Run("libzmq/"+name, func(b *testing.B) {
				clientEnv(b)
				pull := exec.Command(bin, "pull", "tcp://127.0.0.1:*", fmt.Sprint(b.N))
				if mechanism == "curve" {
					pull.Env = []string{"CURVE_SECRET=" + server.Z85(), "CURVE_PUBLIC=" + server.Public().String()}
				}
				out, err := pull.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := pull.Start(); err != nil {
					b.Fatal(err)
				}
				lines := bufio.NewScanner(out)
				var took time.Duration
				for lines.Scan() {
					if at, ok := strings.CutPrefix(lines.Text(), "bound "); ok {
						pushAll(b, bin, at, size, 1)
					}
					_, _ = fmt.Sscanf(lines.Text(), "took %d", &took)
				}
				if err := pull.Wait(); err != nil {
					b.Fatal(err)
				}
				perSecond(b, took)
			})
			b.Run("greenroom/"+name, func(b *testing.B) {
				clientEnv(b)
				h := &benchHub{want: b.N, done: make(chan struct{})}
				bridge := listen(b, h, o)
				pushAll(b, bin, bridge.Addr("pull"), size, 1)
				<-h.done
				perSecond(b, h.took)
			})
		}
	}
}
