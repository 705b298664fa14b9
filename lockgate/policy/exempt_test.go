package policy_test

import (
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/lockgate/policy"
	"pgregory.net/rapid"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC) // a Monday

// TestHours: the days of the week and the minutes, with the end excluded.
func TestHours(t *testing.T) {
	office := policy.Hours{Days: 0b11111, From: 8 * 60, To: 18 * 60}
	if s := office.String(); s != "mon-fri 08:00-18:00" {
		t.Error(s)
	}
	if s := (policy.Hours{Days: 0b1100010, From: 0, To: 1440}).String(); s != "tue,sat,sun 00:00-24:00" {
		t.Error(s)
	}
	p := good()
	p.NotBeforeUnixNS, p.NotAfterUnixNS = new(monday.Add(-time.Hour).UnixNano()), new(monday.Add(1000*time.Hour).UnixNano())
	p.Hours = []policy.Hours{office, {Days: 1 << 5, From: 10 * 60, To: 12 * 60}}
	for _, tt := range []struct {
		at   time.Duration
		want policy.Answer
		why  string
	}{
		{8 * time.Hour, policy.True, "the first minute"},
		{8*time.Hour - 1, policy.False, "a nanosecond early"},
		{18*time.Hour - 1, policy.True, "the last nanosecond"},
		{18 * time.Hour, policy.False, "the end is excluded"},
		{4*24*time.Hour + 9*time.Hour, policy.True, "Friday"},
		{5*24*time.Hour + 9*time.Hour, policy.False, "Saturday, too early"},
		{5*24*time.Hour + 11*time.Hour, policy.True, "Saturday"},
		{6*24*time.Hour + 11*time.Hour, policy.False, "Sunday"},
	} {
		f := facts()
		*f.NowUnixNS = monday.Add(tt.at).UnixNano()
		if o := policy.Evaluate(p, f); o.Answer != tt.want {
			c, _ := o.Refusal()
			t.Errorf("%s: %v, want %v (%s)", tt.why, o.Answer, tt.want, c.Why)
		}
	}
}

// TestHoursAgainstTheCalendar compares with the calendar of the standard library.
func TestHoursAgainstTheCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(0, rapid.Int64Range(1, 4e18).Draw(t, "at")).UTC()
		h := policy.Hours{Days: rapid.Uint64Range(1, 127).Draw(t, "days"), From: rapid.Uint64Range(0, 1439).Draw(t, "from")}
		h.To = rapid.Uint64Range(h.From+1, 1440).Draw(t, "to")
		weekday := (int(at.Weekday()) + 6) % 7
		minute := uint64(at.Hour()*60 + at.Minute())
		want := h.Days>>weekday&1 == 1 && minute >= h.From && minute < h.To
		p, f := good(), facts()
		p.NotBeforeUnixNS, p.NotAfterUnixNS, p.Hours = new(int64(0)), new(int64(1<<62+1<<61)), []policy.Hours{h}
		*f.NowUnixNS = at.UnixNano()
		if got := policy.Evaluate(p, f).Answer == policy.True; got != want {
			t.Fatalf("%s in %s: %v, want %v", at, h, got, want)
		}
		if until := *p.For(policy.Subject{}, at.UnixNano()).NotAfterUnixNS; want {
			end := time.Date(at.Year(), at.Month(), at.Day(), 0, int(h.To), 0, 0, time.UTC)
			if until != end.UnixNano() {
				t.Fatalf("stands until %s, want %s", time.Unix(0, until).UTC(), end)
			}
		}
	})
}

// TestExemptions: only for whom they name, only up to their end, only what they
// lift.
func TestExemptions(t *testing.T) {
	core, chip := [32]byte{1}, [32]byte{2}
	end := monday.Add(10 * time.Hour).UnixNano()
	x := func(k policy.Whose, name string, f func(*policy.Exemption)) policy.Exemption {
		out := policy.Exemption{Kind: k, Name: name, Permit: "NO", NotAfterUnixNS: end, Reason: "a ship"}
		if f != nil {
			f(&out)
		}
		return out
	}
	s := policy.Subject{Core: core, Chip: chip, Tenant: "acme"}
	for _, tt := range []struct {
		name string
		x    policy.Exemption
		at   int64
		want bool
	}{
		{"the core", x(policy.OfCore, hex.EncodeToString(core[:]), nil), end - 1, true},
		{"the chip", x(policy.OfChip, hex.EncodeToString(chip[:]), nil), end - 1, true},
		{"the tenant", x(policy.OfTenant, "acme", nil), end - 1, true},
		{"another core", x(policy.OfCore, hex.EncodeToString(chip[:]), nil), end - 1, false},
		{"another tenant", x(policy.OfTenant, "acm", nil), end - 1, false},
		{"at its end", x(policy.OfTenant, "acme", nil), end, false},
		{"without a reason", x(policy.OfTenant, "acme", func(x *policy.Exemption) { x.Reason = "" }), end - 1, false},
		{"of an unknown kind", x("fleet", "acme", nil), end - 1, false},
	} {
		p := good()
		p.NotAfterUnixNS = new(end * 2)
		p.Exemptions = []policy.Exemption{tt.x}
		got := p.For(s, tt.at)
		if (got.Permit == "(DE)+(NO)") != tt.want || (*got.NotAfterUnixNS == end) != tt.want || got.Exemptions != nil {
			t.Errorf("%s: permits %s until %d", tt.name, got.Permit, *got.NotAfterUnixNS)
		}
		if p.Permit != "DE" || len(p.Exemptions) != 1 || *p.NotAfterUnixNS != end*2 {
			t.Errorf("%s: the policy itself changed", tt.name)
		}
	}
	p := good()
	p.NotAfterUnixNS = new(end * 2)
	p.Hours, p.VetoPerMille = []policy.Hours{{Days: 127, From: 0, To: 1}}, new(uint64(10))
	p.Exemptions = []policy.Exemption{x(policy.OfTenant, "acme", func(x *policy.Exemption) { x.Permit, x.Lifts = "", []policy.Lift{policy.LiftHours} })}
	if got := p.For(s, end-1); got.Hours != nil || got.VetoPerMille == nil || got.Permit != "DE" {
		t.Errorf("%+v", got)
	}
	if got := p.For(policy.Subject{}, end-1); len(got.Hours) != 1 {
		t.Errorf("nobody is exempt: %+v", got)
	}
}

// TestNothingLiftsTheRest: whatever an exemption says, a fact that denies for
// another reason denies still.
func TestNothingLiftsTheRest(t *testing.T) {
	p := good()
	p.NotAfterUnixNS = new(int64(1 << 60))
	p.Exemptions = []policy.Exemption{{Kind: policy.OfTenant, Name: "acme", Permit: "EARTH", Lifts: []policy.Lift{policy.LiftHours, policy.LiftVeto}, NotAfterUnixNS: 1 << 59, Reason: "x"}}
	if problems := p.Validate(); len(problems) != 0 {
		t.Fatal(problems)
	}
	eff := p.For(policy.Subject{Tenant: "acme"}, 500)
	for i := range reflect.TypeFor[policy.Facts]().NumField() {
		f := facts()
		if reflect.TypeOf(f).Field(i).Name == "OutsidePerMille" {
			continue
		}
		reflect.ValueOf(&f).Elem().Field(i).SetZero()
		if policy.Evaluate(eff, f).Answer == policy.True {
			t.Errorf("released without %s", reflect.TypeOf(f).Field(i).Name)
		}
	}
}

func TestProblemsOfExemptions(t *testing.T) {
	ok := policy.Exemption{Kind: policy.OfTenant, Name: "acme", Permit: "NO", NotAfterUnixNS: 9, Reason: "r"}
	for want, f := range map[string]func(*policy.Exemption){
		"name a core":        func(x *policy.Exemption) { x.Kind = "ship" },
		"without a name":     func(x *policy.Exemption) { x.Name = "" },
		"64 hexadecimal":     func(x *policy.Exemption) { x.Kind, x.Name = policy.OfCore, strings.Repeat("AB", 32) },
		"from nothing":       func(x *policy.Exemption) { x.Permit = "" },
		"no end":             func(x *policy.Exemption) { x.NotAfterUnixNS = 0 },
		"no reason":          func(x *policy.Exemption) { x.Reason = "" },
		"only hours and":     func(x *policy.Exemption) { x.Lifts = []policy.Lift{"verdict"} },
		"must ascend":        func(x *policy.Exemption) { x.Lifts = []policy.Lift{policy.LiftVeto, policy.LiftHours} },
		"must ascend, each ": func(x *policy.Exemption) { x.Lifts = []policy.Lift{policy.LiftVeto, policy.LiftVeto} },
	} {
		p, x := good(), ok
		f(&x)
		p.Exemptions = []policy.Exemption{ok, x}
		problems := p.Validate()
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) || !strings.Contains(problems[0].Error(), "entry 2") {
			t.Errorf("%s: %v", want, problems)
		}
	}
	p := good()
	p.Hours = slices.Repeat([]policy.Hours{{Days: 1, From: 0, To: 1}}, 65)
	p.VetoPerMille = new(uint64(0))
	if problems := p.Validate(); len(problems) != 2 {
		t.Error(problems)
	}
}
