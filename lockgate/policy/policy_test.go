package policy_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/policy"
	"github.com/ursa-virtual/ursa/lockgate/quorum"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"pgregory.net/rapid"
)

func good() policy.Policy {
	return policy.Policy{Name: "first", Version: 1, Permit: "DE", Speed: "vacuum", F: new(uint64(0)), MinDomains: new(uint64(3)),
		MinStatements: new(uint64(3)), MaxAgeMS: new(uint64(10_000)), VMaxMMPS: new(uint64(350_000)), Timing: policy.TimingBoth,
		Attest: []directory.Expectation{{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1}}, Audience: "test", MaxUnits: new(uint64(5000)), TOffMS: new(uint64(2000)), LeaseTTLMS: new(uint64(60_000)),
		NotBeforeUnixNS: new(int64(100)), NotAfterUnixNS: new(int64(1000))}
}

func facts() policy.Facts {
	return policy.Facts{NowUnixNS: new(int64(500)), Verdict: "Inside", Statements: new(uint64(3)), Domains: new(uint64(3)),
		AgeMS: new(uint64(10_000)), Platform: "sim", WantUnits: new(uint64(5000)), ReportOK: new(true)}
}

func TestOnlyTrueReleases(t *testing.T) {
	if o := policy.Evaluate(good(), facts()); o.Answer != policy.True {
		t.Fatalf("%+v", o)
	}
	tests := []struct {
		name string
		p    func(*policy.Policy)
		f    func(*policy.Facts)
		rule string
		want policy.Answer
	}{
		{"too old", nil, func(f *policy.Facts) { *f.AgeMS++ }, policy.RuleAge, policy.False},
		{"too early", nil, func(f *policy.Facts) { *f.NowUnixNS = 99 }, policy.RuleWindow, policy.False},
		{"too late", nil, func(f *policy.Facts) { *f.NowUnixNS = 1000 }, policy.RuleWindow, policy.False},
		{"outside", nil, func(f *policy.Facts) { f.Verdict = "Outside" }, policy.RuleVerdict, policy.False},
		{"inconsistent", nil, func(f *policy.Facts) { f.Verdict = "Inconsistent" }, policy.RuleVerdict, policy.False},
		{"a word nobody knows", nil, func(f *policy.Facts) { f.Verdict = "inside" }, policy.RuleVerdict, policy.False},
		{"undetermined", nil, func(f *policy.Facts) { f.Verdict = "Undetermined" }, policy.RuleVerdict, policy.Unknown},
		{"few statements", nil, func(f *policy.Facts) { *f.Statements = 2 }, policy.RuleStatements, policy.False},
		{"few domains", nil, func(f *policy.Facts) { *f.Domains = 2 }, policy.RuleDomains, policy.False},
		{"other platform", nil, func(f *policy.Facts) { f.Platform = "tpm" }, policy.RulePlatform, policy.False},
		{"no units", nil, func(f *policy.Facts) { *f.WantUnits = 0 }, policy.RuleUnits, policy.False},
		{"too many units", nil, func(f *policy.Facts) { *f.WantUnits = 5001 }, policy.RuleUnits, policy.False},
		{"forged report", nil, func(f *policy.Facts) { *f.ReportOK = false }, policy.RuleReport, policy.False},
		{"no version", func(p *policy.Policy) { p.Version = 0 }, nil, policy.RuleValid, policy.Unknown},
		{"before hours", func(p *policy.Policy) { p.Hours = []policy.Hours{{Days: 8, From: 1, To: 2}} }, nil, policy.RuleHours, policy.False},
		{"hours that are none", func(p *policy.Policy) { p.Hours = []policy.Hours{{Days: 8, From: 2, To: 2}} }, nil, policy.RuleHours, policy.False},
		{"vetoed", func(p *policy.Policy) { p.VetoPerMille = new(uint64(900)) }, func(f *policy.Facts) { f.OutsidePerMille = new(uint64(900)) }, policy.RuleVeto, policy.False},
		{"a veto without an estimate", func(p *policy.Policy) { p.VetoPerMille = new(uint64(900)) }, nil, policy.RuleVeto, policy.Unknown},
		{"f not covered", func(p *policy.Policy) { *p.F = 3 }, nil, policy.RuleValid, policy.Unknown},
	}
	for _, tt := range tests {
		p, f := good(), facts()
		if tt.p != nil {
			tt.p(&p)
		}
		if tt.f != nil {
			tt.f(&f)
		}
		o := policy.Evaluate(p, f)
		c, refused := o.Refusal()
		if o.Answer != tt.want || !refused || c.Rule != tt.rule {
			t.Errorf("%s: %v by %q, want %v by %q", tt.name, o.Answer, c.Rule, tt.want, tt.rule)
		}
	}
}

// TestAbsentDenies clears every field of a policy and of the facts in turn;
// each is needed, but for what its absence says: full speed, debited at the grant
// and all at once, at any hour, no veto, no exemption, no bound but the chips' wallets.
func TestAbsentDenies(t *testing.T) {
	for i := range reflect.TypeFor[policy.Policy]().NumField() {
		p := good()
		name := reflect.TypeOf(p).Field(i).Name
		if slices.Contains([]string{"PerMille", "StepUnits", "Scheme", "Hours", "VetoPerMille", "Exemptions", "Budgets"}, name) {
			continue
		}
		reflect.ValueOf(&p).Elem().Field(i).SetZero()
		if o := policy.Evaluate(p, facts()); o.Answer == policy.True {
			t.Errorf("a policy without %s releases", name)
		}
	}
	vetoing := good()
	vetoing.VetoPerMille = new(uint64(500))
	for i := range reflect.TypeFor[policy.Facts]().NumField() {
		f := facts()
		f.OutsidePerMille = new(uint64(1))
		reflect.ValueOf(&f).Elem().Field(i).SetZero()
		if o := policy.Evaluate(vetoing, f); o.Answer == policy.True {
			t.Errorf("facts without %s release", reflect.TypeOf(f).Field(i).Name)
		}
	}
	if o := policy.Evaluate(policy.Policy{}, policy.Facts{}); o.Answer == policy.True {
		t.Error("nothing at all releases")
	}
}

// TestDelayNeverHelps: worse facts never release where better ones did not.
func TestDelayNeverHelps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, f := good(), facts()
		*f.AgeMS = rapid.Uint64Range(0, 20_000).Draw(t, "age")
		*f.Statements = rapid.Uint64Range(0, 6).Draw(t, "statements")
		*f.Domains = rapid.Uint64Range(0, 6).Draw(t, "domains")
		p.VetoPerMille, f.OutsidePerMille = new(uint64(500)), new(rapid.Uint64Range(0, 1000).Draw(t, "outside"))
		before := policy.Evaluate(p, f).Answer
		*f.AgeMS += rapid.Uint64Range(0, 20_000).Draw(t, "delay")
		*f.Statements -= rapid.Uint64Range(0, *f.Statements).Draw(t, "dropped")
		*f.Domains -= rapid.Uint64Range(0, *f.Domains).Draw(t, "lost")
		*f.OutsidePerMille += rapid.Uint64Range(0, 500).Draw(t, "doubt")
		if after := policy.Evaluate(p, f).Answer; after == policy.True && before != policy.True {
			t.Fatalf("worse facts release: %v then %v", before, after)
		}
	})
}

func TestKleene(t *testing.T) {
	all := []policy.Answer{policy.False, policy.Unknown, policy.True} // in the order of truth
	for i, a := range all {
		for j, b := range all {
			if got := a.And(b); got != all[min(i, j)] {
				t.Errorf("%v and %v = %v", a, b, got)
			}
		}
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	if problems := good().Validate(); len(problems) != 0 {
		t.Fatal(problems)
	}
	if problems := (policy.Policy{}).Validate(); len(problems) < 10 {
		t.Fatal(problems)
	}
	p := good()
	*p.NotAfterUnixNS = 100
	p.PerMille = new(uint64(1001))
	for scheme, step := range map[policy.Scheme]*uint64{"gift": nil, policy.SchemeLease: new(uint64(5)), policy.SchemeCombined: nil} {
		q := good()
		q.Scheme, q.StepUnits = scheme, step
		if problems := q.Validate(); len(problems) != 1 {
			t.Errorf("%s: %v", scheme, problems)
		}
	}
	if problems := p.Validate(); len(problems) != 2 || !errors.Is(problems[0], policy.ErrInvalid) {
		t.Fatal(problems)
	}
}

func TestEncodeHashClassVersion(t *testing.T) {
	p := good()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	q, err := policy.Decode(b)
	if err != nil || !reflect.DeepEqual(p, q) {
		t.Fatalf("%v\n%+v\n%+v", err, p, q)
	}
	h1, _ := p.Hash()
	q.PerMille = new(uint64(250))
	h2, _ := q.Hash()
	if h1 == h2 {
		t.Fatal("two policies, one hash")
	}
	if c, n := p.Class(); c != lock.Full || n != 1000 {
		t.Error(c, n)
	}
	if c, n := q.Class(); c != lock.Degraded || n != 250 {
		t.Error(c, n)
	}
	if err := q.Succeeds(p); !errors.Is(err, policy.ErrVersion) {
		t.Error(err)
	}
	q.Version = 2
	if err := q.Succeeds(p); err != nil {
		t.Error(err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if r, err := policy.Decode(bad); err == nil {
			if again, _ := r.Encode(); !bytes.Equal(again, bad) {
				t.Fatalf("byte %d: two encodings", i)
			}
		}
	}
}

func TestSigned(t *testing.T) {
	k, err := identity.FromSeed(identity.RolePolicy, [identity.SeedSize]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := policy.Sign(good(), k)
	if err != nil {
		t.Fatal(err)
	}
	authors := quorum.Authors{Keys: []identity.Public{k.Public()}, Threshold: 1}
	if p, err := policy.Open(b, authors); err != nil || !reflect.DeepEqual(p, good()) {
		t.Fatal(err)
	}
	authors.Threshold = 2
	if _, err := policy.Open(b, authors); !errors.Is(err, quorum.ErrThreshold) {
		t.Fatal(err)
	}
}

// TestOneAfterTheOther: authors in different places sign one file in turn.
func TestOneAfterTheOther(t *testing.T) {
	var keys []*identity.Private
	authors := quorum.Authors{Threshold: 2}
	for i := range byte(3) {
		k, err := identity.FromSeed(identity.RolePolicy, [identity.SeedSize]byte{i + 1})
		if err != nil {
			t.Fatal(err)
		}
		keys, authors.Keys = append(keys, k), append(authors.Keys, k.Public())
	}
	first, err := policy.Sign(good(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	second, err := policy.Cosign(first, keys[2])
	if err != nil {
		t.Fatal(err)
	}
	p, ids, err := policy.Claimed(second)
	if err != nil || !reflect.DeepEqual(p, good()) || len(ids) != 2 || ids[0] != keys[0].ID() || ids[1] != keys[2].ID() {
		t.Error(p, ids, err)
	}
	if _, err := policy.Open(second, authors); err != nil {
		t.Error(err)
	}
	if _, err := policy.Open(first, authors); !errors.Is(err, quorum.ErrThreshold) {
		t.Error(err)
	}
	if _, err := policy.Cosign(second, keys[0]); !errors.Is(err, quorum.ErrTwice) {
		t.Error(err)
	}
	other, err := quorum.Sign(identity.TypePolicy, []byte("no policy"), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Cosign(other, keys[1]); !errors.Is(err, policy.ErrEncoding) {
		t.Error(err)
	}
}

func FuzzClaimed(f *testing.F) {
	k, err := identity.FromSeed(identity.RolePolicy, [identity.SeedSize]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	b, err := policy.Sign(good(), k)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	authors := quorum.Authors{Keys: []identity.Public{k.Public()}, Threshold: 1}
	f.Fuzz(func(t *testing.T, claim []byte) {
		p, ids, err := policy.Claimed(claim)
		if q, opened := policy.Open(claim, authors); opened == nil && (err != nil || len(ids) != 1 || !reflect.DeepEqual(p, q)) {
			t.Fatalf("opened, but not readable: %v", err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	b, err := good().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := policy.Decode(b)
		if err != nil {
			return
		}
		if again, err := p.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("two encodings: %v", err)
		}
		policy.Evaluate(p, facts())
	})
}
