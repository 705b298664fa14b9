package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ursa-virtual/ursa/beacon/exchange/channel"
	"github.com/ursa-virtual/ursa/lockgate/core"
	"github.com/ursa-virtual/ursa/lockgate/core/workload/workloadtest"
	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/server"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
	"github.com/ursa-virtual/ursa/lockgate/server/client"
	"github.com/ursa-virtual/ursa/lockgate/token"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// prover proves with computed round trips.
type prover struct {
	s *granttest.Scene
	c *granttest.Core
}

func (p prover) Prove(_ context.Context, challenge []byte, previous [32]byte) ([]byte, [32]byte, error) {
	p.c.Chain = previous
	proof, hash := p.s.Prove(p.c, challenge)
	return proof, hash, nil
}

// serve starts a gate on both transports and returns its addresses.
func serve(t testing.TB, s *granttest.Scene, change func(*server.Config)) (srv *server.Server, quicAt, tcpAt string) {
	t.Helper()
	cfg := server.Config{Gate: s.Gate, Metrics: server.NewMetrics()}
	if change != nil {
		change(&cfg)
	}
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.ServeQUIC(udp); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := srv.ServeTCP(tcp); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
		_ = udp.Close()
	})
	return srv, udp.LocalAddr().String(), tcp.Addr().String()
}

func dial(t testing.TB, key *identity.Private, quicAt, tcpAt string) *client.Client {
	t.Helper()
	cfg := client.Config{Key: key, Claim: granttest.Middle, Address: tcpAt}
	if quicAt != "" {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		cfg.Conn, cfg.Address = conn, quicAt
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func agent(t testing.TB, s *granttest.Scene, c *granttest.Core, g core.Gate) *core.Agent {
	t.Helper()
	a, err := core.New(core.Config{Key: c.Key, TimedKey: c.Timed, GateKey: s.GateKey.Public(), Gate: g, Prover: prover{s, c}, Memory: &core.Forgetful{}, Want: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestBothTransports(t *testing.T) {
	s := granttest.New(t)
	_, quicAt, tcpAt := serve(t, s, nil)
	for name, at := range map[string][2]string{"HTTP/3": {quicAt, ""}, "HTTP/2": {"", tcpAt}} {
		t.Run(name, func(t *testing.T) {
			c := s.NewCore(granttest.Middle, [32]byte{0xaa, byte(len(at[0]))})
			s.Enrol(c, 10_000)
			a := agent(t, s, c, dial(t, c.Key, at[0], at[1]))
			for range 2 {
				if err := a.Obtain(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if a.Allowance() != 1001 { // nothing was used, so the second lease is of one unit
				t.Errorf("allowance %d", a.Allowance())
			}
			c.At = earth.LatLon{Lat: 42.3, Lon: -71.0}
			var no *core.Denied
			if err := a.Obtain(t.Context()); !errors.As(err, &no) || no.RefusedBy != grant.RefusedVerdict || no.Verdict != "Outside" {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestCombinedOverTheNetwork: a busy fake command burns, and runs through its
// leases in steps.
func TestCombinedOverTheNetwork(t *testing.T) {
	s := granttest.New(t, granttest.WithPolicy(func(p *policy.Policy) {
		p.Scheme, p.StepUnits = policy.SchemeCombined, new(uint64(50))
	}))
	_, quicAt, _ := serve(t, s, nil)
	var opened, burnt atomic.Int64
	a, err := core.New(core.Config{Key: s.Core.Key, TimedKey: s.Core.Timed, GateKey: s.GateKey.Public(), Gate: dial(t, s.Core.Key, quicAt, ""),
		Prover: prover{s, s.Core}, Memory: &core.Forgetful{}, Want: 500, Burn: 700, Events: func(e core.Event) {
			switch e.Kind {
			case core.Opened:
				opened.Add(1)
			case core.Burning:
				burnt.Add(int64(e.Units))
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx, workloadtest.NewFake(1)) }()
	for end := time.Now().Add(20 * time.Second); opened.Load() < 4 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if opened.Load() < 4 || burnt.Load() < 700 {
		t.Errorf("%d steps were opened, %d units burnt", opened.Load(), burnt.Load())
	}
	if err := s.Store.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTokensOverTheNetwork(t *testing.T) {
	key, err := token.NewKey(token.ES256, nil)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := token.NewIssuer("https://gate.test", key)
	if err != nil {
		t.Fatal(err)
	}
	s := granttest.New(t, granttest.WithGate(func(c *grant.Config) { c.Audiences = []string{"vault"} }))
	_, quicAt, _ := serve(t, s, func(c *server.Config) { c.Tokens = issuer })
	c := dial(t, s.Core.Key, quicAt, "")
	proof, _ := s.Prove(s.Core, s.Ask(s.Core))
	r := s.Request(s.Core, proof, 10)
	if d, err := s.Gate.Grant(t.Context(), r); err != nil || !d.Granted {
		t.Fatal(err, d.RefusedBy)
	}
	jwt, err := c.Token(t.Context(), r.RequestID, "vault", "", api.FormJWT)
	if err != nil || bytes.Count(jwt, []byte(".")) != 2 {
		t.Fatalf("%q %v", jwt, err)
	}
	if eat, err := c.Token(t.Context(), r.RequestID, "vault", "0123456789", api.FormEAT); err != nil || len(eat) == 0 {
		t.Fatal(err)
	}
	var no *core.Denied
	if _, err := c.Token(t.Context(), r.RequestID, "somebody", "", api.FormJWT); !errors.As(err, &no) || no.RefusedBy != grant.RefusedToken {
		t.Error(err)
	}
	if _, err := c.Token(t.Context(), r.RequestID, "vault", "", "paper"); !errors.Is(err, client.ErrRefused) {
		t.Error(err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s := granttest.New(t)
	_, quicAt, _ := serve(t, s, nil)
	stranger := s.NewCore(granttest.Middle, [32]byte{1})
	var no *core.Denied
	_, err := dial(t, stranger.Key, quicAt, "").Challenge(t.Context(), core.Question{LockNonce: lock.Nonce{1}, LockSeq: 1})
	if !errors.As(err, &no) || no.RefusedBy != grant.RefusedEnrolment {
		t.Fatal(err)
	}
}

// TestCapturedRequestIsUseless: a request taken from one connection is refused
// on another.
func TestCapturedRequestIsUseless(t *testing.T) {
	s := granttest.New(t)
	_, _, tcpAt := serve(t, s, nil)
	hc := httpClient(t)
	send := func(binding [32]byte, change func(*api.Question), key *identity.Private) (int, api.Denial) {
		q := api.Question{Version: api.Version, Core: s.Core.Key.ID(), Claim: api.PlaceOf(granttest.Middle), LockNonce: [32]byte{1}, LockSeq: 1, Binding: binding}
		if change != nil {
			change(&q)
		}
		body, err := api.Seal(key, api.TypeQuestion, q)
		if err != nil {
			t.Fatal(err)
		}
		return post(t, hc, tcpAt+api.PathChallenge, api.MediaType, body)
	}
	if status, d := send([32]byte{7}, nil, s.Core.Key); status != http.StatusUnauthorized || d.RefusedBy != grant.RefusedBinding {
		t.Errorf("%d %+v", status, d)
	}
	other := s.NewCore(granttest.Middle, [32]byte{1})
	s.Enrol(other, 1)
	if status, d := send([32]byte{7}, nil, other.Key); status != http.StatusUnauthorized || d.RefusedBy != grant.RefusedSignature {
		t.Errorf("%d %+v", status, d)
	}
}

func httpClient(t testing.TB) *http.Client {
	t.Helper()
	tc := channel.ClientTLS()
	tc.NextProtos = []string{"h2"}
	tr := &http.Transport{TLSClientConfig: tc, ForceAttemptHTTP2: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func post(t testing.TB, hc *http.Client, at, media string, body []byte) (int, api.Denial) {
	t.Helper()
	res, err := hc.Post("https://"+at, media, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	d, err := api.DecodeDenial(b)
	if err != nil {
		t.Fatalf("status %d: %v", res.StatusCode, err)
	}
	return res.StatusCode, d
}

func TestRubbish(t *testing.T) {
	s := granttest.New(t)
	_, _, tcpAt := serve(t, s, nil)
	hc := httpClient(t)
	signed := func(payload []byte) []byte {
		e, err := identity.Seal(s.Core.Key, api.TypeQuestion, payload)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tt := range []struct {
		name, path, media string
		body              []byte
		want              int
	}{
		{"empty", api.PathChallenge, api.MediaType, nil, 400},
		{"text", api.PathChallenge, api.MediaType, []byte("let me in"), 400},
		{"another media type", api.PathChallenge, "application/json", []byte("{}"), 415},
		{"too large", api.PathChallenge, api.MediaType, make([]byte, api.MaxQuestion+1), 413},
		{"signed rubbish", api.PathChallenge, api.MediaType, signed([]byte{0xff}), 400},
		{"a question as a request", api.PathLease, api.MediaType, signed([]byte{0xa0}), 401},
	} {
		if status, d := post(t, hc, tcpAt+tt.path, tt.media, tt.body); status != tt.want || d.Reason == "" {
			t.Errorf("%s: %d %+v, want %d", tt.name, status, d, tt.want)
		}
	}
}

func TestHealth(t *testing.T) {
	s := granttest.New(t)
	_, _, tcpAt := serve(t, s, nil)
	hc := httpClient(t)
	get := func(path string) int {
		res, err := hc.Get("https://" + tcpAt + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := get(api.PathHealth); got != 200 {
		t.Error(got)
	}
	if got := get(api.PathReady); got != 200 {
		t.Error(got)
	}
	_ = s.Store.Close()
	if got := get(api.PathReady); got != 503 {
		t.Errorf("ready without a store: %d", got)
	}
}

func TestFloodIsTurnedAway(t *testing.T) {
	s := granttest.New(t)
	_, _, tcpAt := serve(t, s, func(c *server.Config) { c.Rate, c.Burst = 0.001, 5 })
	hc := httpClient(t)
	for i := range 7 {
		status, _ := post(t, hc, tcpAt+api.PathChallenge, api.MediaType, []byte("x"))
		if want := map[bool]int{true: 400, false: 429}[i < 5]; status != want {
			t.Errorf("request %d: %d, want %d", i, status, want)
		}
	}
}

// slowGate answers when it is told to.
type slowGate struct {
	server.Gate
	hold    chan struct{}
	entered chan struct{}
}

func (g slowGate) Challenge(ctx context.Context, q grant.Question) ([]byte, error) {
	g.entered <- struct{}{}
	<-g.hold
	return g.Gate.Challenge(ctx, q)
}

// TestShutdownFinishesWhatWasBegun: what the gate was doing is answered.
func TestShutdownFinishesWhatWasBegun(t *testing.T) {
	s := granttest.New(t)
	slow := slowGate{Gate: s.Gate, hold: make(chan struct{}), entered: make(chan struct{}, 1)}
	srv, quicAt, _ := serve(t, s, func(c *server.Config) { c.Gate = slow })
	c := dial(t, s.Core.Key, quicAt, "")
	answered := make(chan error, 1)
	go func() {
		_, err := c.Challenge(context.Background(), core.Question{LockNonce: lock.Nonce{1}, LockSeq: 1})
		answered <- err
	}()
	<-slow.entered
	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		down <- srv.Shutdown(ctx)
	}()
	time.Sleep(20 * time.Millisecond)
	close(slow.hold)
	if err := <-answered; err != nil {
		t.Errorf("a request that was begun got no answer: %v", err)
	}
	if err := <-down; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestBusyIsSaid(t *testing.T) {
	s := granttest.New(t)
	slow := slowGate{Gate: s.Gate, hold: make(chan struct{}), entered: make(chan struct{}, 9)}
	_, quicAt, _ := serve(t, s, func(c *server.Config) { c.Gate, c.Verifying, c.Waiting = slow, 1, 1 })
	c := dial(t, s.Core.Key, quicAt, "")
	errs := make(chan error, 3)
	ask := func() {
		_, err := c.Challenge(t.Context(), core.Question{LockNonce: lock.Nonce{1}, LockSeq: 1})
		errs <- err
	}
	go ask()
	<-slow.entered
	go ask()
	go ask()
	if err := <-errs; !errors.Is(err, client.ErrRefused) {
		t.Errorf("%v", err)
	}
	close(slow.hold)
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestReconnects: the gate is restarted on the same address, and the client
// finds it again.
func TestReconnects(t *testing.T) {
	s := granttest.New(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := tcp.Addr().String()
	run := func(ln net.Listener) (stop func()) {
		srv, err := server.New(server.Config{Gate: s.Gate})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- srv.ServeTCP(ln) }()
		return func() {
			_ = srv.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	stop := run(tcp)
	c := dial(t, s.Core.Key, "", at)
	q := core.Question{LockNonce: lock.Nonce{1}, LockSeq: 1}
	if _, err := c.Challenge(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := c.Challenge(t.Context(), q); err == nil {
		t.Fatal("answered by nobody")
	}
	if tcp, err = net.Listen("tcp", at); err != nil {
		t.Skipf("the port was taken by somebody else in between: %v", err)
	}
	defer run(tcp)()
	if _, err := c.Challenge(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	s := granttest.New(t)
	_, _, tcpAt := serve(t, s, nil)
	for name, c := range map[string]*tls.Config{
		"TLS 1.2":            {InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
		"classical exchange": {InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}},
	} {
		conn, err := tls.Dial("tcp", tcpAt, c)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestMetricsAreShown(t *testing.T) {
	s := granttest.New(t)
	m := server.NewMetrics()
	_, quicAt, _ := serve(t, s, func(c *server.Config) { c.Metrics = m })
	a := agent(t, s, s.Core, dial(t, s.Core.Key, quicAt, ""))
	if err := a.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &recorder{header: http.Header{}}
	r, err := http.NewRequest(http.MethodGet, "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Handler().ServeHTTP(w, r)
	for _, want := range []string{"ursa_gate_units_total 1000", `ursa_gate_decisions_total{by="granted"} 1`} {
		if !bytes.Contains(w.body.Bytes(), []byte(want)) {
			t.Errorf("no %q in\n%s", want, w.body.String())
		}
	}
}

type recorder struct {
	header http.Header
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(int)             {}

// TestNoLeaseWithoutEvidence: a lease whose evidence cannot be written is not sent; the same request, sent again, gets it once.
func TestNoLeaseWithoutEvidence(t *testing.T) {
	s := granttest.New(t)
	var mu sync.Mutex
	var seen []grant.Decision
	_, quicAt, _ := serve(t, s, func(c *server.Config) {
		c.Keep = func(_ grant.Request, d grant.Decision) error {
			mu.Lock()
			defer mu.Unlock()
			if seen = append(seen, d); len(seen) < 3 {
				return errors.New("no space left on device")
			}
			return nil
		}
	})
	a := agent(t, s, s.Core, dial(t, s.Core.Key, quicAt, ""))
	if err := a.Obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 3 || seen[0].Repeated || !seen[1].Repeated || !seen[2].Repeated || !bytes.Equal(seen[0].Lease, seen[2].Lease) {
		t.Fatalf("asked %d times", len(seen))
	}
	if a.Allowance() != 1000 {
		t.Errorf("allowance %d", a.Allowance())
	}
	if account, err := s.Store.Account(t.Context(), s.Core.Key.ID()); err != nil || account.Granted != 1000 {
		t.Errorf("granted %d, %v", account.Granted, err)
	}
}
