package stamp_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/timing/stamp"
	"pgregory.net/rapid"
)

// scripted is a clock that shows what the test says. Reading it takes time when step is set.
type scripted struct {
	real, raw int64
	step      int64 // added to both by every reading
}

func (c *scripted) RealNS() int64          { c.real += c.step; c.raw += c.step; return c.real }
func (c *scripted) RawNS() int64           { c.real += c.step; c.raw += c.step; return c.raw }
func (c *scripted) Quality() stamp.Quality { return stamp.Quality{GranularityNS: 1, ErrPPB: 1} }

const epoch = int64(1_800_000_000_000_000_000)

func clockAt(truth int64) *scripted { return &scripted{real: epoch + truth, raw: truth} }

func (c *scripted) pass(ns int64) { c.real += ns; c.raw += ns }

// measure runs one round on the clock: during is what happens between departure and look.
func measure(t interface{ Fatal(...any) }, c stamp.Clock, during func(), arrive func(stamp.Receipt) (stamp.Arrival, error)) (stamp.Interval, error) {
	d, err := stamp.Send(c, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	look, err := stamp.Receive(c, func() error { during(); return nil })
	if err != nil {
		t.Fatal(err)
	}
	at, err := arrive(look)
	if err != nil {
		return stamp.Interval{}, err
	}
	return stamp.Between(d, at, 1)
}

// TestDepartureIsBeforeTheWrite: a write that takes long, or during which the answer already comes, is inside the interval. A
// clock read after it would measure less than nothing.
func TestDepartureIsBeforeTheWrite(t *testing.T) {
	c := clockAt(1e9)
	d, err := stamp.Send(c, func() error { c.pass(5e6); return nil })
	if err != nil {
		t.Fatal(err)
	}
	look, err := stamp.Receive(c, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	at, _ := look.Arrival()
	i, err := stamp.Between(d, at, 1)
	if err != nil || i.NS() < 5e6 {
		t.Fatalf("interval %d ns (%v), want the 5 ms of the write in it", i.NS(), err)
	}
}

// TestArrivalIsAfterTheRead: a read that waits is inside the interval too.
func TestArrivalIsAfterTheRead(t *testing.T) {
	c := clockAt(1e9)
	i, err := measure(t, c, func() { c.pass(7e6) }, stamp.Receipt.Arrival)
	if err != nil || i.NS() < 7e6 {
		t.Fatalf("interval %d ns (%v), want at least 7 ms", i.NS(), err)
	}
}

func TestNothingIsMeasuredWithoutStamps(t *testing.T) {
	c := clockAt(1e9)
	d, _ := stamp.Send(c, func() error { return nil })
	look, _ := stamp.Receive(c, func() error { c.pass(1000); return nil })
	at, _ := look.Arrival()
	failing := errors.New("no route")
	if _, err := stamp.Send(c, func() error { return failing }); !errors.Is(err, failing) {
		t.Error("a failed write has a departure")
	}
	if _, err := stamp.Receive(c, func() error { return failing }); !errors.Is(err, failing) {
		t.Error("a failed read has a look")
	}
	for name, run := range map[string]func() error{
		"zero departure": func() error { _, err := stamp.Between(stamp.Departure{}, at, 1); return err },
		"zero arrival":   func() error { _, err := stamp.Between(d, stamp.Arrival{}, 1); return err },
		"zero receipt":   func() error { _, err := (stamp.Receipt{}).Arrival(); return err },
		"zero receipt, kernel": func() error {
			_, err := (stamp.Receipt{}).WithKernel(1).Arrival()
			return err
		},
		"zero receipt, waited": func() error { _, err := (stamp.Receipt{}).WithWait(1).Arrival(); return err },
	} {
		if err := run(); !errors.Is(err, stamp.ErrUnstamped) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := stamp.Between(d, at, 0); !errors.Is(err, stamp.ErrQuality) {
		t.Error("unknown granularity accepted")
	}
}

// TestKernelStamps: the kernel's stamp takes the wake-up out of the interval; one from after the look is somebody else's.
func TestKernelStamps(t *testing.T) {
	for _, c := range []struct {
		name   string
		kernel int64 // after the departure
		want   error
		ns     int64
	}{
		{"on arrival", 20e6, nil, 20e6},
		{"at the look", 20e6 + 300e3, nil, 20e6 + 300e3},
		{"after the look", 20e6 + 300e3 + 1, stamp.ErrKernelFuture, 0},
		{"before the departure", -1, stamp.ErrNotPositive, 0},
		{"at the departure", 0, stamp.ErrNotPositive, 0},
	} {
		clock := clockAt(1e9)
		i, err := measure(t, clock, func() { clock.pass(20e6 + 300e3) }, func(l stamp.Receipt) (stamp.Arrival, error) {
			return l.WithKernel(epoch + 1e9 + c.kernel).Arrival()
		})
		if !errors.Is(err, c.want) || i.NS() != c.ns {
			t.Errorf("%s: %d ns, %v; want %d ns, %v", c.name, i.NS(), err, c.ns, c.want)
		}
	}
	clock := clockAt(1e9)
	if _, err := measure(t, clock, func() {}, func(l stamp.Receipt) (stamp.Arrival, error) { return l.WithKernel(0).Arrival() }); !errors.Is(err, stamp.ErrKernelMissing) {
		t.Errorf("missing kernel stamp: %v", err)
	}
	if _, err := measure(t, clock, func() {}, func(l stamp.Receipt) (stamp.Arrival, error) { return l.WithWait(-1).Arrival() }); !errors.Is(err, stamp.ErrKernelFuture) {
		t.Errorf("negative wait: %v", err)
	}
	i, err := measure(t, clock, func() { clock.pass(20e6) }, func(l stamp.Receipt) (stamp.Arrival, error) { return l.WithWait(4e6).Arrival() })
	if err != nil || i.NS() != 16e6 || i.Source() != stamp.Kernel {
		t.Errorf("a packet that waited 4 ms of 20: %d ns, %v", i.NS(), err)
	}
}

// TestClockRule: steps and slews of real time against raw time.
func TestClockRule(t *testing.T) {
	for _, c := range []struct {
		name      string
		real, raw int64
		want      error
		atLeast   int64
	}{
		{"both agree", 20e6, 20e6, nil, 20e6},
		{"real slewed 500 ppm slow", 20e6 - 10_000, 20e6, nil, 20e6},
		{"real slewed 500 ppm fast", 20e6 + 10_000, 20e6, nil, 20e6},
		{"real slewed 600 ppm slow", 20e6 - 12_000, 20e6, stamp.ErrStep, 0},
		{"real stepped back", 5e6, 20e6, stamp.ErrStep, 0},
		{"real stepped forward", 40e6, 20e6, stamp.ErrStep, 0},
		{"real stepped before the departure", -20e6, 20e6, stamp.ErrStep, 0},
		{"raw went back", 20e6, -1, stamp.ErrNotPositive, 0},
		{"nothing passed", 0, 0, stamp.ErrNotPositive, 0},
		{"ten seconds and more", 10e9 + 1, 10e9 + 1, stamp.ErrAbsurd, 0},
		{"only raw says ten seconds", 20e6, 10e9 + 1, stamp.ErrAbsurd, 0},
	} {
		clock := clockAt(1e9)
		i, err := measure(t, clock, func() { clock.real += c.real; clock.raw += c.raw }, stamp.Receipt.Arrival)
		if !errors.Is(err, c.want) || i.NS() < c.atLeast {
			t.Errorf("%s: %d ns, %v; want at least %d, %v", c.name, i.NS(), err, c.atLeast, c.want)
		}
	}
}

// TestIntervalIsNeverShort: whatever NTP does within its 500 ppm, and however long readings take, the interval is at least the
// time between the write and the arrival, in raw time.
func TestIntervalIsNeverShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clockAt(rapid.Int64Range(1, 1e15).Draw(t, "start"))
		c.step = rapid.Int64Range(0, 300).Draw(t, "reading")
		flight := rapid.Int64Range(1, 300e6).Draw(t, "flight")
		ppm := rapid.Int64Range(-500, 500).Draw(t, "slew")
		wake := rapid.Int64Range(0, 1e6).Draw(t, "wake")
		passed := func(ns int64) { c.raw += ns; c.real += ns - ns/1_000_000*ppm - ns%1_000_000*ppm/1_000_000 }
		var kernel int64
		i, err := measure(t, c, func() { passed(flight); kernel = c.real; passed(wake) }, func(l stamp.Receipt) (stamp.Arrival, error) {
			if rapid.Bool().Draw(t, "kernel stamp") {
				return l.WithKernel(kernel).Arrival()
			}
			return l.Arrival()
		})
		if err != nil {
			t.Skip(err)
		}
		if i.NS() < flight-1 { // the slew's own rounding
			t.Fatalf("flight of %d ns measured as %d", flight, i.NS())
		}
	})
}

// TestInterruptedLook: a process that is stopped between reading the two clocks looks again, so the round survives.
func TestInterruptedLook(t *testing.T) {
	c := &interrupting{scripted: *clockAt(1e9)}
	i, err := measure(t, c, func() { c.pass(20e6) }, stamp.Receipt.Arrival)
	if err != nil || i.NS() < 20e6 {
		t.Fatalf("%d ns, %v", i.NS(), err)
	}
	if c.interrupted < 2 {
		t.Errorf("interrupted %d times, want both looks", c.interrupted)
	}
}

// interrupting loses 3 ms before every fourth reading of raw time.
type interrupting struct {
	scripted
	n, interrupted int
}

func (c *interrupting) RawNS() int64 {
	if c.n++; c.n%2 == 1 {
		c.interrupted++
		c.pass(3e6)
	}
	return c.scripted.RawNS()
}

func TestQuality(t *testing.T) {
	for _, c := range []struct {
		q    stamp.Quality
		want error
	}{
		{stamp.Quality{}, stamp.ErrQuality},
		{stamp.Quality{GranularityNS: 1}, stamp.ErrQuality},
		{stamp.Quality{ErrPPB: 1}, stamp.ErrQuality},
		{stamp.Quality{GranularityNS: 1, ErrPPB: 1}, nil},
		{stamp.Quality{GranularityNS: 1e9, ErrPPB: 1e6}, nil},
		{stamp.Quality{GranularityNS: 1e9 + 1, ErrPPB: 1}, stamp.ErrQuality},
		{stamp.Quality{GranularityNS: 1, ErrPPB: 1e6 + 1}, stamp.ErrQuality},
	} {
		if err := c.q.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, err, c.want)
		}
	}
	// A 4 ms clock costs 8 ms of round trip: 1,200 km.
	cost := stamp.Quality{GranularityNS: 4e6, ErrPPB: 1}.Cost(20e6)
	if km := float64(cost) * 299_792_458 / 2 / 1e9 / 1000; km < 1199 || km > 1200 {
		t.Errorf("a 4 ms clock costs %.1f km", km)
	}
	if got := (stamp.Quality{GranularityNS: 1, ErrPPB: 200_000}).Cost(100e6); got != 2+20_000 {
		t.Errorf("200 ppm of 100 ms: %d ns", got)
	}
}

func TestInstant(t *testing.T) {
	if got := stamp.Instant(5).Add(time.Duration(math.MaxInt64)); got != stamp.Never {
		t.Errorf("deadline overflows to %d", got)
	}
	if got := stamp.Instant(5).Add(3).Sub(2); got != 6 {
		t.Errorf("5+3-2 = %d", got)
	}
}

// TestUnsoundStampsCannotBeBuilt reads this package's source: the only function that returns a Departure is Send, a Receipt
// comes from Receive (and its own three methods, which keep a zero one zero), an Arrival from a Receipt, and none of the three
// has an exported field.
func TestUnsoundStampsCannotBeBuilt(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	makers := map[string][]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Type.Results == nil {
					return true
				}
				for _, r := range n.Type.Results.List {
					if id, ok := r.Type.(*ast.Ident); ok {
						makers[id.Name] = append(makers[id.Name], n.Name.Name)
					}
				}
			case *ast.TypeSpec:
				s, ok := n.Type.(*ast.StructType)
				if !ok || (n.Name.Name != "Departure" && n.Name.Name != "Receipt" && n.Name.Name != "Arrival" && n.Name.Name != "Interval") {
					return true
				}
				for _, field := range s.Fields.List {
					for _, name := range field.Names {
						if name.IsExported() {
							t.Errorf("%s.%s is exported: anybody could set it", n.Name.Name, name.Name)
						}
					}
				}
			}
			return true
		})
	}
	for typ, want := range map[string]int{"Departure": 1, "Receipt": 4, "Arrival": 1, "Interval": 1} {
		if len(makers[typ]) != want {
			t.Errorf("%s is returned by %v, want %d makers", typ, makers[typ], want)
		}
	}
}
