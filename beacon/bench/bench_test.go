package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// peerVariable makes this test binary the other end of a bench.
const peerVariable = "URSA_BENCH_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(peerVariable) != "" {
		if err := Peer(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// otherEnd starts this test binary as the other end.
func otherEnd() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), peerVariable+"=1")
	cmd.Stderr = os.Stderr
	return cmd
}

// TestTinyBench runs everything there is once and looks at the form of the report, never at how fast anything was.
func TestTinyBench(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	var told float64
	r, err := Run(t.Context(), Config{Peer: otherEnd, Duration: minDuration, Seed: 1, turns: 1, Progress: func(_ string, share float64) {
		if share < told || share > 1 {
			t.Errorf("progress goes from %v to %v", told, share)
		}
		told = share
	}})
	if err != nil {
		t.Fatal(err)
	}
	if now := runtime.GOMAXPROCS(0); now != procs {
		t.Errorf("%d threads before, %d after", procs, now)
	}
	for _, want := range []What{Floor, GoEcho, Round} {
		if _, ok := r.roundTrip(want, "", "user"); !ok && runtime.GOOS == "linux" {
			t.Errorf("no %s with user stamps", want)
		}
	}
	for _, row := range r.RoundTrips {
		if row.MinNS <= 0 || row.P50NS < row.MinNS || row.P90NS < row.P50NS || row.P99NS < row.P90NS || row.N+row.Lost+row.Refused < blockRounds {
			t.Errorf("%+v", row)
		}
	}
	kinds := map[Kind]bool{}
	for _, c := range r.Costs {
		kinds[c.Kind] = true
		if c.Micros <= 0 || c.PerCoreSecond <= 0 || c.Items < 1 {
			t.Errorf("%+v", c)
		}
	}
	for _, k := range []Kind{EchoAnswer, Signed64, Signed256, Handshake, Session16, Session64, DatagramSession16, DatagramSession64, Sign, Verify} {
		if !kinds[k] && runtime.GOOS == "linux" {
			t.Errorf("no cost of %s", k)
		}
	}
	if text := r.Text(); !strings.Contains(text, "km at p50") || !strings.Contains(text, "a second and core") {
		t.Error(text)
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(encoded, &back); err != nil || back["round_trips"] == nil {
		t.Errorf("%s: %v", encoded, err)
	}
}

// TestTinyStar walks through relays that do nothing: what is tested is that all rays of all arms come back.
func TestTinyStar(t *testing.T) {
	straight := func(server string, _ time.Duration, _ bool) (string, func(), error) { return passOn(server) }
	cfg := Config{Peer: otherEnd, Duration: minDuration, CPUs: anywhere, Relay: straight, turns: 1}
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Star) != 6 {
		t.Fatalf("%d arms", len(r.Star))
	}
	for _, a := range r.Star {
		if a.Sessions == 0 || a.Rounds == 0 || a.BelowCount == 0 {
			t.Errorf("%+v: a relay without delay must be seen as below it", a)
		}
	}
	if g := r.g10("steered"); g.Met == nil || *g.Met {
		t.Errorf("rounds below the delay, and the goal is %+v", g)
	}
}

// passOn forwards datagrams between one client and a server without delay.
func passOn(server string) (string, func(), error) {
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		return "", nil, err
	}
	front, err := loopback()
	if err != nil {
		return "", nil, err
	}
	back, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		_ = front.Close()
		return "", nil, err
	}
	client := make(chan net.Addr, 1)
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, from, err := front.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case client <- from:
			default:
			}
			_, _ = back.Write(buffer[:n])
		}
	}()
	go func() {
		buffer := make([]byte, 2048)
		var at net.Addr
		for {
			n, err := back.Read(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case at = <-client:
			default:
			}
			if at != nil {
				_, _ = front.WriteTo(buffer[:n], at)
			}
		}
	}()
	return front.LocalAddr().String(), func() { _ = front.Close(); _ = back.Close() }, nil
}

func TestRefusedConfigurations(t *testing.T) {
	for name, c := range map[string]Config{
		"no peer":      {},
		"too short":    {Peer: otherEnd, Duration: 1},
		"too long":     {Peer: otherEnd, Duration: time.Hour},
		"three":        {Peer: otherEnd, CPUs: 7},
		"star, no way": {Peer: otherEnd, CPUs: anywhere},
		"unknown part": {Peer: otherEnd, Only: 9},
	} {
		if _, err := Run(t.Context(), c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseCPUs("three"); !errors.Is(err, ErrCPUs) {
		t.Error(err)
	}
	for _, c := range []CPUs{One, Two} {
		if got, err := ParseCPUs(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
}

// TestPeerThatEnds: a process that says nothing ends the run with an error, and nothing hangs.
func TestPeerThatEnds(t *testing.T) {
	quits := func() *exec.Cmd { return exec.Command(os.Args[0], "-test.run=^$") }
	if _, err := Run(t.Context(), Config{Peer: quits, Duration: minDuration}); !errors.Is(err, ErrPeer) {
		t.Error(err)
	}
	none := func() *exec.Cmd { return exec.Command("/nonexistent/ursa") }
	if _, err := Run(t.Context(), Config{Peer: none, Duration: minDuration}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestCancelledRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{Peer: otherEnd, Duration: minDuration}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestPeerRefuses: what the other end cannot do it says, and goes on.
func TestPeerRefuses(t *testing.T) {
	var in, out bytes.Buffer
	questions := []request{
		{Do: "dance", Addresses: []string{"x"}}, {Do: doEcho}, {Do: doEcho, Echo: "loud", Addresses: []string{"127.0.0.1:1"}},
		{Do: doEcho, Echo: echoGo, Addresses: []string{"nowhere"}}, {Do: doLetter}, {Do: doLetter, Letter: &letter{CoreSeed: []byte{1}}},
		{Do: doSessions, Path: 4, Mode: 1, Addresses: []string{"127.0.0.1:1"}, Count: 1}, {Do: doRounds, Path: 4, Mode: 1, Addresses: []string{"127.0.0.1:1"}},
		{Do: doAsk, Addresses: []string{"127.0.0.1:1"}, Count: 0, Batch: 1}, {Do: doKnock, Addresses: []string{"nowhere"}},
	}
	for _, q := range questions {
		if err := json.NewEncoder(&in).Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := Peer(&in, &out); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(&out)
	for _, q := range questions {
		var r reply
		if err := answers.Decode(&r); err != nil || r.Error == "" {
			t.Errorf("%+v: %+v, %v", q, r, err)
		}
	}
	if err := Peer(strings.NewReader("{not json"), &out); !errors.Is(err, ErrPeer) {
		t.Error(err)
	}
}

// TestSignedAnswers: answers verify by the batch's signature, and not if anything is changed.
func TestSignedAnswers(t *testing.T) {
	key, err := identity.FromSeed(identity.RoleBeacon, [identity.SeedSize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	payloads := make([][]byte, 5)
	for i := range payloads {
		payloads[i] = bytes.Repeat([]byte{byte(i)}, echoSize)
	}
	envelopes, err := identity.SealBatch(key, typeAnswer, payloads)
	if err != nil {
		t.Fatal(err)
	}
	open := func(b []byte) error {
		batch, e, err := parseAnswer(b, key.ID())
		if err == nil && batch != 7 {
			return fmt.Errorf("%w: batch %d", ErrAnswer, batch)
		}
		if err == nil {
			e.Signature = envelopes[0].Signature
			_, err = e.Open(key.Public(), typeAnswer)
		}
		return err
	}
	for i, e := range envelopes {
		b := appendAnswer(nil, 7, e)
		if err := open(b); err != nil {
			t.Errorf("answer %d: %v", i, err)
		}
		for at := range b {
			forged := bytes.Clone(b)
			forged[at] ^= 1
			if open(forged) == nil {
				t.Fatalf("answer %d opens with byte %d changed", i, at)
			}
		}
	}
	for _, n := range []int{0, 1, answerHead, answerHead + echoSize - 1, answerHead + echoSize + 31} {
		if _, _, err := parseAnswer(make([]byte, n), key.ID()); !errors.Is(err, ErrAnswer) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
