package monitor_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/ledger"
	"github.com/ursa-virtual/ursa/lockgate/monitor"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// audit reads a scene and opens all its evidence by several workers.
func audit(t *testing.T, s *scene, o monitor.Options) monitor.Report {
	t.Helper()
	entries, findings, _ := s.read()
	a := monitor.NewAuditor(o)
	a.Found(findings...)
	a.Read(entries)
	byName := map[string][]byte{}
	var names []string
	for _, f := range s.files {
		byName[f.Name] = f.File
		names = append(names, f.Name)
	}
	last := 0
	err := a.OpenAll(t.Context(), names, func(name string) ([]byte, error) { return byName[name], nil }, 3, func(n int) { last = n })
	if err != nil || last != len(names) {
		t.Fatal(err, last)
	}
	return a.Report(time.Now().Add(time.Hour))
}

// TestOneHall: cores that stand together answer alike; one that stands elsewhere
// does not, and how many are too many is the reader's to say.
func TestOneHall(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	cores := []*granttest.Core{s.Core}
	for i := range byte(3) {
		at := granttest.Middle
		at.Lat += 0.001 * float64(i)
		if i == 2 {
			at = earth.LatLon{Lat: 51.6, Lon: 10.9} // 90 km away
		}
		c := s.NewCore(at, [32]byte{0xd0, i})
		s.Enrol(c, 1000)
		cores = append(cores, c)
	}
	for _, c := range cores {
		if d := s.decide(c, 10, false); !d.Granted {
			t.Fatal(d.Reason)
		}
	}
	r := audit(t, s, monitor.Options{Hall: 4})
	if !r.Sound() || len(r.Halls) != 1 || len(r.Halls[0].Cores) != 3 || r.Halls[0].Units != 30 || r.Halls[0].Share != 0.75 || r.Halls[0].Nearest != "Kassel, DE" {
		t.Errorf("%+v %v", r.Halls, r.Findings)
	}
	r = audit(t, s, monitor.Options{Hall: 3})
	if got := kinds(r.Findings); !slices.Equal(got, []monitor.Kind{monitor.Concentration}) || !strings.Contains(r.Findings[0].Detail, "3 cores") {
		t.Error(r.Findings)
	}
}

// TestPoliciesOfTheAuthors: the monitor learns policies from the evidence, and
// with the authors' files at hand it knows which are theirs.
func TestPoliciesOfTheAuthors(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.decide(s.Core, 10, false)
	next := s.Policy
	next.Version = 2
	if err := s.Gate.SetPolicy(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	s.decide(s.Core, 10, false)
	if r := audit(t, s, monitor.Options{Policies: []policy.Policy{s.Policy, next}, Signed: true}); !r.Sound() {
		t.Error(r.Findings)
	}
	if r := audit(t, s, monitor.Options{Policies: []policy.Policy{next}, Signed: true}); !slices.Equal(kinds(r.Findings), []monitor.Kind{monitor.UnknownPolicy}) {
		t.Error(r.Findings)
	}
	// The older one comes back into force, by a leaf that the gate wrote.
	h, err := s.Policy.Hash()
	if err != nil {
		t.Fatal(err)
	}
	s.plant(ledger.Leaf{Kind: ledger.KindPolicy, PolicyHash: h, Object: h})
	if r := audit(t, s, monitor.Options{}); !slices.Equal(kinds(r.Findings), []monitor.Kind{monitor.PolicyBack}) {
		t.Error(r.Findings)
	}
}

// plant appends a leaf as a gate would.
func (s *scene) plant(l ledger.Leaf) {
	s.t.Helper()
	l.Version = ledger.Version
	if l.AtUnixMS == 0 {
		l.AtUnixMS = time.Now().UnixMilli()
	}
	b, err := l.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Store.Append(s.t.Context(), b); err != nil {
		s.t.Fatal(err)
	}
}

// TestRevocationsIgnored: a gate that noted a list in its ledger and goes on
// without it is found; one that had it a moment ago is not.
func TestRevocationsIgnored(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	list := revoke.List{Version: revoke.Version, Epoch: 5, IssuedUnixNS: 1, ExpiresUnixNS: time.Now().Add(time.Hour).UnixNano(),
		Entries: []revoke.Entry{{Kind: revoke.Tenant, Name: "somebody else", Reason: "left"}}}
	if _, err := s.Gate.SetRevocations(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	s.decide(s.Core, 10, false)
	if r := audit(t, s, monitor.Options{}); !r.Sound() {
		t.Error(r.Findings)
	}
	s.plant(ledger.Leaf{Kind: ledger.KindRevocation, Epoch: 6, Object: [32]byte{6}})
	if r := audit(t, s, monitor.Options{}); !r.Sound() {
		t.Error(r.Findings)
	}
	s.plant(ledger.Leaf{Kind: ledger.KindRevocation, Epoch: 7, Object: [32]byte{7}, AtUnixMS: time.Now().Add(-time.Hour).UnixMilli()})
	got := kinds(audit(t, s, monitor.Options{}).Findings)
	if !slices.Equal(got, []monitor.Kind{monitor.RevokedIgnored, monitor.TimeBack}) {
		t.Error(got)
	}
}

// TestUsage adds up by hand what the report adds up.
func TestUsage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range 3 {
		s.decide(s.Core, 100, false)
	}
	s.Core.At = earth.LatLon{Lat: 42.3, Lon: -71}
	s.decide(s.Core, 100, false)
	r := audit(t, s, monitor.Options{Per: monitor.Month})
	var grants, units, used, denied uint64
	for _, row := range r.Usage {
		if row.Core != s.Core.Key.ID().String() || row.Tenant != "t" || len(row.Period) != len("2026-01") {
			t.Errorf("%+v", row)
		}
		grants, units, used, denied = grants+row.Grants, units+row.Units, used+row.Used, denied+row.Denied
	}
	// The report of the last lease comes with the next, which was refused.
	if grants != 3 || units != 300 || used != 200 || denied != 1 {
		t.Errorf("%d grants of %d units, %d used, %d denied: %+v", grants, units, used, denied, r.Usage)
	}
	var out bytes.Buffer
	if err := r.CSV(&out); err != nil {
		t.Fatal(err)
	}
	if rows, err := csv.NewReader(&out).ReadAll(); err != nil || len(rows) != len(r.Usage)+1 || rows[0][5] != "units" {
		t.Error(rows, err)
	}
	for _, by := range []monitor.By{monitor.ByJurisdiction, monitor.ByTenant, monitor.ByCore} {
		var one, two, picture bytes.Buffer
		if err := errors.Join(r.Chart(&one, "svg", by), r.Chart(&two, "svg", by), r.Chart(&picture, "png", by)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one.Bytes(), two.Bytes()) {
			t.Error("two drawings of one report differ")
		}
		if _, err := png.Decode(&picture); err != nil {
			t.Error(err)
		}
	}
	if err := r.Chart(io.Discard, "gif", monitor.ByCore); !errors.Is(err, monitor.ErrFormat) {
		t.Error(err)
	}
	if err := r.Chart(io.Discard, "svg", "colour"); !errors.Is(err, monitor.ErrBy) {
		t.Error(err)
	}
	if err := (monitor.Report{}).Chart(io.Discard, "svg", monitor.ByCore); !errors.Is(err, monitor.ErrEmpty) {
		t.Error(err)
	}
	if _, err := monitor.ParsePeriod("week"); !errors.Is(err, monitor.ErrPeriod) {
		t.Error(err)
	}
}

// TestHostileNames: a tenant's name is anybody's choice, and stays text.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	var r monitor.Report
	for i := range 20 {
		r.Usage = append(r.Usage, monitor.Row{Period: fmt.Sprintf("2026-01-%02d", i+1), Core: "c", Tenant: fmt.Sprintf("<script>%d</script>&", i), Touches: "DE", Grants: 1, Units: uint64(i)})
	}
	r.Usage = append(r.Usage, monitor.Row{Period: "2026-02-01", Core: "c", Tenant: "=HYPERLINK(1)", Touches: "DE", Grants: 1, Units: 1})
	var out, table bytes.Buffer
	if err := errors.Join(r.Chart(&out, "svg", monitor.ByTenant), r.CSV(&table)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(table.String(), ",=") {
		t.Error("a formula")
	}
	for d := xml.NewDecoder(&out); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "script" {
			t.Error("a name became an element")
		}
	}
}

// TestWhatIsKept: a log that lies is not remembered as the truth, and what others
// have seen counts as well.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.decide(s.Core, 10, false)
	_, _, first := s.read()
	s.decide(s.Core, 10, false)
	_, _, second := s.read()
	fork := rewritten(t, s.key, int(second.Size)+2)
	for _, seen := range [][][]byte{{first.Raw}, {second.Raw}, {nil, second.Raw, first.Raw}} {
		src, err := monitor.Open(fork, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := monitor.NewReader(monitor.ReaderConfig{Source: src, Verifier: s.key.Verifier(), Seen: seen})
		if err != nil {
			t.Fatal(err)
		}
		_, f, err := r.Next(t.Context())
		if err != nil || !slices.Contains(kinds(f), monitor.Forked) || r.Newest().Size != 0 {
			t.Errorf("%v %v, would keep %d leaves", err, kinds(f), r.Newest().Size)
		}
	}
	src, err := monitor.Open(s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := monitor.NewReader(monitor.ReaderConfig{Source: src, Verifier: s.key.Verifier(), Seen: [][]byte{first.Raw, second.Raw}})
	if err != nil {
		t.Fatal(err)
	}
	if _, f, err := r.Next(t.Context()); err != nil || len(f) != 0 || r.Newest().Size != second.Size {
		t.Error(err, f)
	}
}

// TestSkippedAndUnreadable: what is not for this auditor is counted; what should
// be and cannot be read is a finding.
func TestSkippedAndUnreadable(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.decide(s.Core, 10, false)
	entries, _, _ := s.read()
	a := monitor.NewAuditor(monitor.Options{})
	a.Read(entries)
	torn := errors.New("torn")
	err := a.OpenAll(t.Context(), []string{"a", "b"}, func(name string) ([]byte, error) {
		if name == "a" {
			return nil, monitor.ErrSkip
		}
		return nil, torn
	}, 2, nil)
	if r := a.Report(time.Now()); err != nil || r.Unopened != 1 || !slices.Equal(kinds(r.Findings), []monitor.Kind{monitor.BadEvidence}) {
		t.Error(err, r.Text())
	}
}

// FuzzNext hands any bytes to the reader as a ledger.
func FuzzNext(f *testing.F) {
	k, err := ledger.NewKey("fuzz.test/gate")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("fuzz.test/gate\n1\nAAAA\n"), []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, checkpoint, bundle []byte) {
		r, err := monitor.NewReader(monitor.ReaderConfig{Source: fixed{checkpoint, bundle}, Verifier: k.Verifier()})
		if err != nil {
			t.Fatal(err)
		}
		entries, findings, err := r.Next(t.Context())
		if err == nil && (len(findings) == 0 || len(entries) != 0 || r.Newest().Size != 0) {
			t.Fatalf("believed a ledger that nobody signed: %v", entries)
		}
	})
}

// fixed is a source that always says the same.
type fixed struct{ checkpoint, bundle []byte }

func (f fixed) ReadCheckpoint(context.Context) ([]byte, error)                  { return f.checkpoint, nil }
func (f fixed) ReadEntryBundle(context.Context, uint64, uint8) ([]byte, error)  { return f.bundle, nil }
func (f fixed) ReadTile(context.Context, uint64, uint64, uint8) ([]byte, error) { return f.bundle, nil }
