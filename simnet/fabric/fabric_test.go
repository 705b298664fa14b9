package fabric_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/ursa-virtual/ursa/simnet/fabric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var none netip.AddrPort

// distances is a Path of different delays: the one-way delay of a direction is made of the two addresses.
type distances struct{ jitter fabric.Law }

func (d distances) least(from, to netip.AddrPort) time.Duration {
	a, b := from.Addr().As4(), to.Addr().As4()
	return time.Duration(1+7*int(a[3])+3*int(b[3])) * 100 * time.Microsecond
}

func (d distances) Delay(from, to netip.AddrPort, _ int, rnd *rand.Rand) (time.Duration, bool) {
	return d.least(from, to) + d.jitter.Draw(rnd), rnd.Float64() < 0.05
}

// In virtual time the round trip is the sum of the two one-way delays, to the nanosecond.
func TestVirtualRoundTripIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFabric(t, fabric.Config{Path: fabric.Link{OneWay: 12_345_678}})
		a, b := listen(t, f, "a"), listen(t, f, "b")
		go echo(b)
		buf := make([]byte, 8)
		for range 100 {
			before := time.Now()
			write(t, a, []byte("ping"), b.LocalAddr())
			if _, _, err := a.ReadFrom(buf); err != nil {
				t.Fatal(err)
			}
			if rtt := time.Since(before); rtt != 2*12_345_678 {
				t.Fatalf("round trip of %v", rtt)
			}
		}
		if late := f.Stats().Lateness; late.Max() != 0 || late.Count() != 200 {
			t.Error(late)
		}
	})
}

func echo(e *fabric.Endpoint) {
	buf := make([]byte, 2048)
	for {
		n, from, err := e.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = e.WriteTo(buf[:n], from)
	}
}

// The promise of the package, over 10^5 packets: whatever the jitter, duplication, order and load, nothing arrives before its
// pair's least delay has passed since just before it was sent. Stamps are taken by the users, outside the network.
func TestNeverEarly(t *testing.T) {
	const hosts, each = 10, 10_000
	for _, mode := range []string{"virtual", "real"} {
		t.Run(mode, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			run := func(t *testing.T) { neverEarly(t, seed, hosts, each) }
			if mode == "virtual" {
				synctest.Test(t, run)
			} else {
				run(t)
			}
		})
	}
}

func neverEarly(t *testing.T, seed uint64, hosts, each int) {
	path := distances{fabric.Mixture{Clean: 0.5, Else: fabric.Exponential{Mean: time.Millisecond}}}
	f := newFabric(t, fabric.Config{Seed: seed, Path: path, Overtake: true, Duplicate: 0.02, Queue: 1 << 17})
	ends := make([]*fabric.Endpoint, hosts)
	for i := range ends {
		ends[i] = listen(t, f, fmt.Sprint("host", i))
	}
	start := time.Now()
	var readers, writers sync.WaitGroup
	var mu sync.Mutex
	early, arrived := 0, 0
	for _, e := range ends {
		readers.Go(func() {
			buf := make([]byte, 64)
			for {
				_, from, at, err := e.ReadFromStamped(buf)
				if err != nil {
					return
				}
				sent := start.Add(time.Duration(binary.BigEndian.Uint64(buf)))
				mu.Lock()
				arrived++
				if at.Sub(sent) < path.least(from, e.AddrPort()) || time.Now().Before(at) {
					early++
				}
				mu.Unlock()
			}
		})
		writers.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(e.AddrPort().Addr().As4()[3])))
			for n := range each {
				to := ends[rnd.IntN(hosts)]
				_, _ = e.WriteTo(binary.BigEndian.AppendUint64(nil, uint64(time.Since(start))), to.LocalAddr())
				if n%256 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	writers.Wait()
	s := f.Stats()
	for s.Delivered+s.Lost < s.Sent+s.Duplicated || func() bool { mu.Lock(); defer mu.Unlock(); return arrived < int(s.Delivered) }() {
		time.Sleep(time.Millisecond)
		s = f.Stats()
	}
	_ = f.Close()
	readers.Wait()
	t.Logf("%d arrived; %v", arrived, s.Lateness)
	if early > 0 || arrived < hosts*each*9/10 {
		t.Errorf("%d of %d packets came early (seed %d)", early, arrived, seed)
	}
	if s.Sent != uint64(hosts*each) || s.Delivered+s.Lost != s.Sent+s.Duplicated || s.Duplicated == 0 {
		t.Errorf("%+v", s)
	}
}

// The test above can fail: a path that shortens is seen. The network itself cannot be made to shorten, so the twin lies about
// what the least delay is.
func TestNeverEarlyCanFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFabric(t, fabric.Config{Path: fabric.Link{OneWay: time.Millisecond - 1}})
		a := listen(t, f, "a")
		before := time.Now()
		write(t, a, []byte("x"), a.LocalAddr())
		_, _, at, err := a.ReadFromStamped(make([]byte, 1))
		if err != nil || at.Sub(before) >= time.Millisecond {
			t.Error("a nanosecond less was not seen")
		}
	})
}

// schedule runs a busy network in virtual time and returns, for each receiver, what came when from whom.
func schedule(t *testing.T, seed uint64, name string) []string {
	var log []string
	synctest.Test(t, func(t *testing.T) {
		f := newFabric(t, fabric.Config{Seed: seed, Path: distances{fabric.Exponential{Mean: 5 * time.Millisecond}}, Duplicate: 0.1})
		start := time.Now()
		const hosts = 6
		var ends [hosts]*fabric.Endpoint
		for i := range ends {
			ends[i] = listen(t, f, fmt.Sprint(name, i))
		}
		var readers, writers sync.WaitGroup
		var logs [hosts][]string
		for i, e := range ends {
			readers.Go(func() {
				buf := make([]byte, 64)
				for {
					n, from, at, err := e.ReadFromStamped(buf)
					if err != nil {
						return
					}
					logs[i] = append(logs[i], fmt.Sprint(i, from, string(buf[:n]), at.Sub(start)))
				}
			})
			writers.Go(func() {
				for n := range 100 {
					write(t, e, fmt.Appendf(nil, "%d", n), ends[(i+n)%hosts].LocalAddr())
					time.Sleep(time.Millisecond)
				}
			})
		}
		writers.Wait()
		time.Sleep(time.Second)
		_ = f.Close()
		readers.Wait()
		log = slices.Concat(logs[:]...)
	})
	return log
}

func TestSameSeedSameSchedule(t *testing.T) {
	first := schedule(t, 7, "host")
	for range 3 {
		if again := schedule(t, 7, "host"); !slices.Equal(first, again) {
			t.Fatal("the same seed gave another schedule")
		}
	}
	if slices.Equal(first, schedule(t, 8, "host")) {
		t.Error("another seed gave the same schedule")
	}
	if slices.Equal(first, schedule(t, 7, "node")) {
		t.Error("other names gave the same schedule")
	}
	if len(first) < 500 {
		t.Errorf("only %d packets arrived", len(first))
	}
}

// What one pair sees does not depend on who else is talking.
func TestPairsDoNotDisturbEachOther(t *testing.T) {
	run := func(others int) (arrivals []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			f := newFabric(t, fabric.Config{Seed: 3, Path: fabric.Link{OneWay: time.Millisecond, Jitter: fabric.Exponential{Mean: time.Millisecond}, Loss: 0.2}})
			a, b, c := listen(t, f, "a"), listen(t, f, "b"), listen(t, f, "c")
			start := time.Now()
			for range 200 {
				for range others {
					write(t, c, []byte("noise"), a.LocalAddr())
				}
				write(t, a, []byte("x"), b.LocalAddr())
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Second)
			must(t, b.SetReadDeadline(time.Now().Add(time.Second)))
			for {
				_, _, at, err := b.ReadFromStamped(make([]byte, 8))
				if err != nil {
					break
				}
				arrivals = append(arrivals, at.Sub(start))
			}
		})
		return arrivals
	}
	if alone, crowded := run(0), run(3); !slices.Equal(alone, crowded) || len(alone) < 100 {
		t.Errorf("%d and %d packets, at other times", len(alone), len(crowded))
	}
}

func TestLossRateAndOrder(t *testing.T) {
	const n = 20_000
	for _, overtake := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFabric(t, fabric.Config{Seed: 1, Overtake: overtake, Queue: n, Duplicate: 0.03,
				Path: fabric.Link{OneWay: time.Millisecond, Jitter: fabric.Uniform{Max: 2 * time.Millisecond}, Loss: 0.1}})
			a, b := listen(t, f, "a"), listen(t, f, "b")
			for i := range n {
				write(t, a, binary.BigEndian.AppendUint64(nil, uint64(i)), b.LocalAddr())
				if i%4 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			time.Sleep(time.Second)
			must(t, b.SetReadDeadline(time.Now().Add(time.Second)))
			buf := make([]byte, 8)
			swapped, last := 0, uint64(0)
			for {
				if _, _, err := b.ReadFrom(buf); err != nil {
					break
				}
				if k := binary.BigEndian.Uint64(buf); k < last {
					swapped++
				} else {
					last = k
				}
			}
			s := f.Stats()
			within(t, "lost", s.Lost, s.Sent+s.Duplicated, 0.1)
			within(t, "duplicated", s.Duplicated, s.Sent, 0.03)
			if overtake != (swapped > 0) {
				t.Errorf("overtake %v, but %d packets did", overtake, swapped)
			}
		})
	}
}

// within asks that k of n lies within five standard deviations of the share p.
func within(t *testing.T, what string, k, n uint64, p float64) {
	t.Helper()
	if dev := math.Sqrt(float64(n) * p * (1 - p)); math.Abs(float64(k)-p*float64(n)) > 5*dev {
		t.Errorf("%s: %d of %d, want a share of %v", what, k, n, p)
	}
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFabric(t, fabric.Config{Path: fabric.Link{OneWay: time.Millisecond}, Queue: 10, InFlight: 30})
		a, b := listen(t, f, "a"), listen(t, f, "b")
		for range 40 {
			write(t, a, make([]byte, 1472), b.LocalAddr())
		}
		write(t, a, make([]byte, 1473), b.LocalAddr())
		nobody, err := f.Listen("nobody", none)
		must(t, err)
		to := nobody.LocalAddr()
		must(t, nobody.Close())
		write(t, a, []byte("x"), to)
		time.Sleep(time.Second)
		s := f.Stats()
		if s.Sent != 42 || s.TooBig != 1 || s.Unroutable != 1 || s.Crowded != 10 || s.Delivered != 10 || s.QueueFull != 20 {
			t.Errorf("%+v", s)
		}
		write(t, a, []byte("x"), b.LocalAddr())
		must(t, b.Close()) // while the packet is under way
		time.Sleep(time.Second)
		if s := f.Stats(); s.Unroutable != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestListen(t *testing.T) {
	f := newFabric(t, fabric.Config{Path: fabric.Link{}})
	at := netip.MustParseAddrPort("10.0.0.2:4433")
	a, err := f.Listen("a", at)
	must(t, err)
	if _, err := f.Listen("a", none); !errors.Is(err, fabric.ErrInUse) {
		t.Errorf("name twice: %v", err)
	}
	if _, err := f.Listen("b", at); !errors.Is(err, fabric.ErrInUse) {
		t.Errorf("address twice: %v", err)
	}
	if _, err := f.Listen("b", netip.MustParseAddrPort("0.0.0.0:1")); !errors.Is(err, fabric.ErrConfig) {
		t.Errorf("wildcard: %v", err)
	}
	b, c := listen(t, f, "b"), listen(t, f, "c")
	if b.AddrPort().String() != "10.0.0.1:4433" || c.AddrPort().String() != "10.0.0.3:4433" {
		t.Errorf("chose %v and %v", b.AddrPort(), c.AddrPort())
	}
	d, err := f.Listen("d", netip.MustParseAddrPort("[::ffff:10.0.0.2]:0"))
	must(t, err)
	if d.AddrPort().String() != "10.0.0.2:49152" || !slices.Equal(f.Names(), []string{"a", "b", "c", "d"}) {
		t.Errorf("chose %v, names %v", d.AddrPort(), f.Names())
	}
	must(t, a.Close())
	if _, err := f.Listen("a", at); err != nil {
		t.Errorf("the address of a closed endpoint: %v", err)
	}
	must(t, f.Close())
	must(t, f.Close())
	if _, err := f.Listen("e", none); !errors.Is(err, fabric.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, c := range []fabric.Config{{}, {Path: fabric.Link{}, MTU: 100}, {Path: fabric.Link{}, Queue: -1}, {Path: fabric.Link{}, Duplicate: math.NaN()}} {
		if _, err := fabric.New(c); !errors.Is(err, fabric.ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestParseLaw(t *testing.T) {
	for _, s := range []string{"exp:2ms", "uniform:1.5ms", "mix:0.25,exp:100µs", "mix:1,uniform:0s"} {
		law, err := fabric.ParseLaw(s)
		if err != nil || law.String() != s {
			t.Errorf("%s came back as %v, %v", s, law, err)
		}
	}
	if law, err := fabric.ParseLaw("none"); law != nil || err != nil {
		t.Error(law, err)
	}
	for _, s := range []string{"", "exp", "exp:-1ms", "exp:2", "none:1", "mix:0.5", "mix:1.5,exp:1ms", "mix:NaN,exp:1ms", "mix:0.5,none", "mix:0.1,mix:0.1,exp:1s", "gauss:1ms", "uniform:2h"} {
		if law, err := fabric.ParseLaw(s); !errors.Is(err, fabric.ErrLaw) {
			t.Errorf("%q read as %v, %v", s, law, err)
		}
	}
}

// Laws have the mean they state and are never negative.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mean := time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(t, "mean"))
		q := rapid.Float64Range(0, 1).Draw(t, "clean")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for _, c := range []struct {
			law  fabric.Law
			mean float64
		}{{fabric.Exponential{Mean: mean}, 1}, {fabric.Uniform{Max: 2 * mean}, 1}, {fabric.Mixture{Clean: q, Else: fabric.Exponential{Mean: mean}}, 1 - q}} {
			const n = 4000
			sum := 0.0
			for range n {
				d := c.law.Draw(rnd)
				if d < 0 {
					t.Fatalf("%v drew %v", c.law, d)
				}
				sum += float64(d) / float64(mean)
			}
			if got := sum / n; math.Abs(got-c.mean) > 6*1.42/math.Sqrt(n)+1/float64(mean) {
				t.Fatalf("%v: mean %v, want %v", c.law, got, c.mean)
			}
		}
	})
}

// lossless is distances without the loss.
type lossless struct{ distances }

func (l lossless) Delay(from, to netip.AddrPort, _ int, _ *rand.Rand) (time.Duration, bool) {
	return l.least(from, to), false
}
