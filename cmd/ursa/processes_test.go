package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cli runs one command line as main would.
func cli(args ...string) (status int, out, errOut string) {
	return cliIn(context.Background(), args...)
}

func cliIn(ctx context.Context, args ...string) (status int, out, errOut string) {
	var o, e bytes.Buffer
	status = run(ctx, args, strings.NewReader(""), &o, &e)
	return status, o.String(), e.String()
}

// ok runs a command that must succeed, and returns what it printed.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errOut := cli(args...)
	if status != exitDone {
		t.Fatalf("ursa %s: exit %d: %s", strings.Join(args, " "), status, errOut)
	}
	return out
}

// site is a constellation in a folder, with everybody's files.
type testSite struct {
	dir, pass string
	addresses []string // of the beacons
	gate      string
}

func (s testSite) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}
func (s testSite) withPass(args ...string) []string {
	return append(args, "--passphrase-file", s.pass)
}

// newSite makes a constellation of so many beacons in Frankfurt, a gate and a core that claims to be there.
func newSite(t *testing.T, beacons int) testSite {
	t.Helper()
	s := testSite{dir: t.TempDir()}
	s.pass = s.path("pass")
	if err := os.WriteFile(s.pass, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ok(t, s.withPass("directory", "init", s.path("dir"), "--name", "test")...)
	trust := s.path("dir", trustName)
	add := []string{"directory", "add", s.path("dir")}
	for i := range beacons {
		s.addresses = append(s.addresses, freePort(t))
		home := s.path(fmt.Sprintf("b%d", i+1))
		ok(t, s.withPass("beacon", "init", home, "--place", fmt.Sprintf("Frankfurt %d, DE", i+1), "--lat", "50.11", "--lon", "8.68", "--height", "110",
			"--domain", fmt.Sprintf("operator:%d", i+1), "--address", s.addresses[i], "--trust", trust)...)
		add = append(add, filepath.Join(home, beaconPublicName))
	}
	s.gate = freePort(t)
	ok(t, s.withPass("gate", "init", s.path("gate"), "--trust", trust)...)
	ok(t, s.withPass("core", "init", s.path("core"), "--gate-key", s.path("gate", gatePublicName), "--trust", trust, "--lat", "50.11", "--lon", "8.68")...)
	ok(t, append(add, s.path("gate", gatePublicName))...)
	ok(t, s.withPass("directory", "sign", s.path("dir"))...)
	return s
}

// ports that freePort has given out: two tests of this process never get the same.
var ports sync.Map

// freePort is an address of this machine on which nobody listens, UDP nor TCP. It lies below the ports that the system gives to
// sockets without one, or a socket of another test could take it before it is used.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000))
		if _, taken := ports.LoadOrStore(address, true); taken {
			continue
		}
		udp, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		tcp, err := net.Listen("tcp", address)
		_ = udp.Close()
		if err == nil {
			_ = tcp.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// serve runs a serving command until the test ends, and fails the test when it ends otherwise than well.
func serve(t *testing.T, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if status, _, errOut := cliIn(ctx, args...); status != exitDone {
			t.Errorf("ursa %s: exit %d: %s", strings.Join(args, " "), status, errOut)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	const long = 4 * time.Minute // which only what hangs takes
	for end := time.Now().Add(long); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %v: %s", long, what)
		}
	}
}

// epochAt asks an operator's address for the directory epoch in force; 0 when nobody answers.
func epochAt(t *testing.T, address string) uint64 {
	var s struct {
		Gate      uint64                 `json:"directory_epoch"`
		Directory struct{ Epoch uint64 } `json:"directory"`
	}
	if getJSON(t.Context(), http.DefaultClient, "http://"+address+"/status", &s) != nil {
		return 0
	}
	return max(s.Gate, s.Directory.Epoch)
}

// TestTheRoadOverSockets goes from nothing to a lease over real sockets of this machine: beacons, gate and core each from their folders.
func TestTheRoadOverSockets(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	policy := []string{"gate", "policy", "set", "--dir", s.path("gate"), "--attest", "sim", "--f", "1", "--passphrase-file", s.pass}
	ok(t, append(policy, "--permit", "DE")...)
	ok(t, "gate", "enrol", "--dir", s.path("gate"), s.path("core", corePublicName), "--chip", "sim", "--tenant", "acme", "--budget", "1000000")
	directory := s.path("dir", directoryName)
	status, gateStatus := freePort(t), freePort(t)
	for i, address := range s.addresses {
		metrics := ""
		if i == 0 {
			metrics = status
		}
		serve(t, s.withPass("beacon", "serve", "--dir", s.path(fmt.Sprintf("b%d", i+1)), "--directory", directory, "--sim-dir", s.path("dir", "sim"),
			"--listen", address, "--metrics", metrics)...)
	}
	ok(t, s.withPass("gate", "auditor", "init", s.path("auditor"))...)
	stopGate := serve(t, s.withPass("gate", "serve", "--auditor", s.path("auditor", auditorPublicName), "--dir", s.path("gate"), "--directory", directory, "--listen", s.gate, "--metrics", gateStatus)...)
	eventually(t, "the gate serves", func() bool { return epochAt(t, gateStatus) == 1 })
	eventually(t, "the beacon is well", func() bool { code, _, _ := cli("beacon", "status", "--metrics", status); return code == exitDone })

	prove := s.withPass("core", "prove", "--dir", s.path("core"), "--directory", directory, "--sim-dir", s.path("dir", "sim"), "--gate", "https://"+s.gate)
	var got provenJSON
	eventually(t, "all beacons answer", func() bool {
		code, out, _ := cli(append(prove, "--json", "--out", s.path("proof"))...)
		return code == exitDone && json.Unmarshal([]byte(out), &got) == nil && got.Beacons[0].Error+got.Beacons[1].Error+got.Beacons[2].Error == ""
	})
	if got.Decision != "granted" || got.GrantedUnits != 1 || got.Beacons[0].RTTBeaconMinNS <= 0 {
		t.Errorf("%+v", got)
	}
	if info, err := os.Stat(s.path("proof")); err != nil || int(info.Size()) != got.ProofBytes {
		t.Errorf("the proof: %v, %v", info, err)
	}
	evidence, _ := filepath.Glob(s.path("gate", gateEvidenceDir, "*-granted.ursa.locked"))
	trust, err := readTrust(s.path("dir", trustName))
	if err != nil || len(evidence) == 0 {
		t.Fatal(evidence, err)
	}
	ok(t, s.withPass("gate", "auditor", "open", evidence[0], "--dir", s.path("auditor"), "--out", s.path("proof.ursa"))...)
	ok(t, "verify", s.path("proof.ursa"), "--trust", trust.fingerprint())

	// A new epoch reaches everybody by SIGHUP; fresh attestation results are taken at the same time, on the same sockets.
	ok(t, s.withPass("directory", "sign", s.path("dir"))...)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "epoch 2 is in force", func() bool { return epochAt(t, status) == 2 && epochAt(t, gateStatus) == 2 })
	if code, out, errOut := cli(prove...); code != exitDone || !strings.Contains(out, "GRANTED") {
		t.Errorf("after a reload: exit %d, %s%s", code, out, errOut)
	}

	core := got.Core.String()
	if out := ok(t, s.withPass("gate", "revoke", "--dir", s.path("gate"), core[:8])...); !strings.Contains(out, "OFF") {
		t.Errorf("%s", out)
	}
	if code, out, _ := cli(prove...); code != exitDenied || !strings.Contains(out, "revoked") {
		t.Errorf("a revoked core: exit %d, %s", code, out)
	}
	ok(t, s.withPass("gate", "restore", "--dir", s.path("gate"), core[:8])...)
	workload := func(args ...string) (int, string) {
		code, _, errOut := cli(append(append([]string{"core", "run"}, prove[2:]...), args...)...)
		return code, errOut
	}
	held := runtime.GOOS == "linux" // only there can a workload be held still
	if code, log := workload("--", "sh", "-c", "exit 3"); held && (code != exitFailed || !strings.Contains(log, "exit status 3") || !strings.Contains(log, "msg=running")) {
		t.Errorf("a workload that fails: exit %d, %s", code, log)
	}
	ok(t, append(policy, "--permit", "JP")...)
	if code, log := workload("--stop-when-denied", "--", "sleep", "60"); held && (code != exitDenied || strings.Contains(log, "msg=running")) {
		t.Errorf("a workload elsewhere: exit %d, %s", code, log)
	}
	if code, out, _ := cli(append(prove, "--http2")...); code != exitDenied || !strings.Contains(out, "verdict") {
		t.Errorf("elsewhere: exit %d, %s", code, out)
	}
	stopGate()
	if out := ok(t, "gate", "cores", "--dir", s.path("gate"), "--json"); !strings.Contains(out, core) || !strings.Contains(out, `"enabled": true`) {
		t.Errorf("the gate's folder afterwards: %s", out)
	}
}
