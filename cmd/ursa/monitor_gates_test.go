package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/store"
)

// sibling is another gate of the same constellation and policy, with a store and a ledger of its own.
func (w *watched) sibling(origin string) *watched {
	w.t.Helper()
	st, err := store.OpenSQLite(context.Background(), filepath.Join(w.t.TempDir(), "gate.db"), store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = st.Close() })
	scene := *w.Scene
	scene.Store = st
	if scene.Gate, err = grant.New(w.t.Context(), grant.Config{Key: w.GateKey, Store: st, Directory: w.Directory, Policy: w.Policy}); err != nil {
		w.t.Fatal(err)
	}
	x := &watched{Scene: &scene, t: w.t}
	x.open(origin)
	return x
}

// gates is a file that lists them.
func gatesFile(t *testing.T, list ...monitoredGate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gates.json")
	if err := writeJSON(path, list, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// verifyGates runs the command on several gates.
func verifyGates(t *testing.T, path string, args ...string) monitor.Report {
	t.Helper()
	status, out, errOut := cli(append([]string{"monitor", "verify", "--gates", path, "--json", "--complete", "--grace", "1ns"}, args...)...)
	var r monitor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit %d: %v: %s", status, err, errOut)
	}
	if want := map[bool]int{true: exitDone, false: exitDenied}[r.Sound()]; status != want {
		t.Errorf("exit %d with %d findings", status, len(r.Findings))
	}
	return r
}

// plantsAcross: two gates on stores of their own serve one chip, and then two copies of one core; each gate alone is sound.
func plantsAcross(t *testing.T, found *foundKinds) {
	a := newWatched(t)
	b := a.sibling("monitor.test/second")
	path := gatesFile(t, monitoredGate{Name: "first", Gate: a.dir}, monitoredGate{Name: "second", Gate: b.dir})
	var cores []*granttest.Core
	for i, w := range []*watched{a, b} {
		c := a.NewCore(granttest.Middle, [32]byte{0xee})
		c.At.Lat += 0.01 * float64(i)
		w.Enrol(c, 100)
		w.decide(c, 40, false)
		w.publish()
		cores = append(cores, c)
	}
	if r := verifyGates(t, path); !r.Sound() || r.Grants != 2 || r.Units != 80 || r.Opened != 2 || r.Unopened != 0 || len(r.Cores) != 2 || r.Tenants["t"].Units != 80 {
		t.Fatalf("nothing planted, found %s", r.Text())
	}
	b.decide(cores[1], 30, false) // at most 70 of its 100, and 40 at the other gate
	b.publish()
	r := verifyGates(t, path)
	if len(r.Findings) != 1 || r.Findings[0].Kind != monitor.BudgetAcross || !strings.Contains(r.Findings[0].Detail, "from 2 gates (first 40, second ") {
		t.Errorf("planted %s, found %v", monitor.BudgetAcross, r.Findings)
	} else {
		found.add(monitor.BudgetAcross)
	}
	core := a.NewCore(granttest.Middle, [32]byte{0xdd})
	for _, w := range []*watched{a, b} {
		copied := *core
		w.Enrol(&copied, 100)
		w.decide(&copied, 60, false)
		w.publish()
	}
	r = verifyGates(t, path)
	kinds := map[monitor.Kind]int{}
	for _, f := range r.Findings {
		kinds[f.Kind]++
		if f.Kind == monitor.ProofsForked && (f.Ledger != "second" || f.Core != core.Key.ID().String() || !strings.Contains(f.Detail, "first")) {
			t.Error(f)
		}
	}
	if kinds[monitor.BudgetAcross] != 2 || kinds[monitor.ProofsForked] != 1 || len(r.Findings) != 3 {
		t.Errorf("a copy of a core at another gate: %v", r.Findings)
	}
	for _, w := range []*watched{a, b} {
		if got := w.verify("--complete"); len(got) != 0 {
			t.Errorf("one gate alone: %v", got)
		}
	}
}

// TestGatesOfOneLedger: gates that list one key show one ledger, which is read once; when they show two, that is found.
func TestGatesOfOneLedger(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.decide(w.Core, 10, false)
	w.publish()
	second := t.TempDir() // the folder of another process on the same store
	log, err := ledger.OpenLog(t.Context(), ledger.LogConfig{Dir: filepath.Join(second, gateLedgerDir), Key: w.key, Source: ledger.FromStore(w.Store)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := log.Await(ctx, 2); err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	if err := writeJSON(filepath.Join(second, gateLedgerPublic), w.key.Verifier(), 0o644); err != nil {
		t.Fatal(err)
	}
	path := gatesFile(t, monitoredGate{Name: "a", Gate: w.dir}, monitoredGate{Name: "b", Gate: second})
	if r := verifyGates(t, path); !r.Sound() || r.Grants != 1 || r.Leaves != 3 {
		t.Errorf("one ledger of two gates: %s", r.Text())
	}
	shown := filepath.Join(second, gateLedgerDir)
	if err := os.RemoveAll(shown); err != nil {
		t.Fatal(err)
	}
	log, _ = w.other(shown, 3)
	if err := log.Await(ctx, 2); err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	if r := verifyGates(t, path); len(r.Findings) != 1 || r.Findings[0].Kind != monitor.Forked || r.Findings[0].View != shown || len(r.Findings[0].Notes) != 2 {
		t.Errorf("two ledgers under one key: %v", r.Findings)
	}
}

// TestWatchGates follows two gates: what only both show is told when it appears, and one that cannot be read does not silence the other.
func TestWatchGates(t *testing.T) {
	t.Parallel()
	a := newWatched(t)
	b := a.sibling("monitor.test/second")
	next := a.Policy
	next.Version, next.Budgets = 2, []policy.Budget{{Of: policy.BucketTenant, Per: policy.PerDay, Units: 100}}
	for _, w := range []*watched{a, b} {
		if err := w.Gate.SetPolicy(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	a.decide(a.Core, 60, false)
	other := b.NewCore(granttest.Middle, [32]byte{0xdd})
	b.Enrol(other, 1000)
	b.decide(other, 20, false)
	a.publish()
	b.publish()
	gone := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		select {
		case <-gone:
			http.Error(out, "gone", http.StatusServiceUnavailable)
		default:
			http.StripPrefix("/v1/ledger", ledger.Handler(filepath.Join(a.dir, gateLedgerDir))).ServeHTTP(out, r)
		}
	}))
	defer web.Close()
	path := gatesFile(t, monitoredGate{Name: "first", Gate: web.URL, LedgerKey: filepath.Join(a.dir, gateLedgerPublic), Evidence: []string{filepath.Join(a.dir, gateEvidenceDir)},
		Trust: filepath.Join(a.dir, trustName), Kept: "first.kept"}, monitoredGate{Name: "second", Gate: b.dir, Kept: "second.kept"})
	metrics := freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	type result struct {
		status      int
		out, errOut string
	}
	done := make(chan result, 1)
	go func() {
		status, out, errOut := cliIn(ctx, "monitor", "watch", "--gates", path, "--every", "100ms", "--metrics", metrics)
		done <- result{status, out, errOut}
	}()
	page := func(line string) bool {
		res, err := http.Get("http://" + metrics + "/metrics")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return err == nil && strings.Contains(string(text), line)
	}
	eventually(t, "both ledgers were verified", func() bool {
		return page("ursa_monitor_grants 2") && page("ursa_monitor_units 80") && page(`ursa_monitor_findings{kind="budget-across"} 0`)
	})
	close(gone)
	b.decide(other, 50, false) // 70 of 100, and 60 of the other's
	b.publish()
	eventually(t, "what they released together is found", func() bool {
		return page(`ursa_monitor_findings{kind="budget-across"} 1`) && page("ursa_monitor_up 0")
	})
	cancel()
	r := <-done
	if r.status != exitDenied || strings.Count(r.out, "FOUND") != 1 || !strings.Contains(r.out, "budget-across [second]") || !strings.Contains(r.out, "(first 60, second ") || !strings.Contains(r.errOut, "first: ") {
		t.Errorf("exit %d: %s%s", r.status, r.out, r.errOut)
	}
	for _, name := range []string{"first.kept", "second.kept"} {
		if info, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err != nil || info.Size() < 100 {
			t.Error(name, err)
		}
	}
}

func TestGatesFileErrors(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	for _, tt := range []struct {
		list   []monitoredGate
		args   []string
		status int
		says   string
	}{
		{nil, nil, exitFailed, "0 gates"},
		{[]monitoredGate{{Gate: w.dir}}, nil, exitFailed, "name of its own"},
		{[]monitoredGate{{Name: "a", Gate: w.dir}, {Name: "a", Gate: w.dir}}, nil, exitFailed, "name of its own"},
		{[]monitoredGate{{Name: "a"}}, nil, exitUsage, "no ledger"},
		{[]monitoredGate{{Name: "a", Gate: w.dir}, {Name: "b", Gate: w.dir, Kept: "b.kept"}}, nil, exitFailed, "show one ledger"},
		{[]monitoredGate{{Name: "a", Gate: w.dir}}, []string{"--gate", w.dir}, exitUsage, "leave out --gate"},
	} {
		status, _, errOut := cli(append([]string{"monitor", "verify", "--gates", gatesFile(t, tt.list...)}, tt.args...)...)
		if status != tt.status || !strings.Contains(errOut, tt.says) {
			t.Errorf("%+v: exit %d, wanted %d and %q: %s", tt.list, status, tt.status, tt.says, errOut)
		}
	}
}
