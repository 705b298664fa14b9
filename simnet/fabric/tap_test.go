package fabric_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ursa-virtual/ursa/simnet/fabric"
)

// hosts is a Path from a table of one-way delays in milliseconds, by the last bytes of the addresses.
type hosts [4][4]int

func (h hosts) Delay(from, to netip.AddrPort, _ int, _ *rand.Rand) (time.Duration, bool) {
	ms := h[from.Addr().As4()[3]][to.Addr().As4()[3]]
	return time.Duration(ms) * time.Millisecond, ms == 0
}

// a (1) to b (2) takes 10 ms; the attacker m (3) is 4 ms from a and 7 ms from b.
var triangle = hosts{1: {2: 10, 3: 4}, 2: {1: 10, 3: 7}, 3: {1: 4, 2: 7}}

// Each story: what the attacker does, and what b reads when, in milliseconds after a sent "hello".
func TestInterceptors(t *testing.T) {
	type stage struct{ a, b, m *fabric.Endpoint }
	each := func(f func(p fabric.Packet) []fabric.Packet) fabric.Interceptor {
		return fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet { return f(p) })
	}
	drop := each(func(fabric.Packet) []fabric.Packet { return nil })
	hold := func(d time.Duration) fabric.Interceptor {
		return each(func(p fabric.Packet) []fabric.Packet { p.Hold = d; return []fabric.Packet{p} })
	}
	for _, c := range []struct {
		name string
		act  func(s stage)
		want []string
	}{
		{"nobody", func(stage) {}, []string{"10 hello from 1"}},
		{"drops at the sender", func(s stage) { s.a.InterceptOut(drop) }, nil},
		{"drops at the receiver", func(s stage) { s.b.InterceptIn(drop) }, nil},
		{"removed again", func(s stage) { s.a.InterceptOut(drop); s.a.InterceptOut(nil) }, []string{"10 hello from 1"}},
		{"adds delay at the sender", func(s stage) { s.a.InterceptOut(hold(5 * time.Millisecond)) }, []string{"15 hello from 1"}},
		{"adds delay at the receiver", func(s stage) { s.b.InterceptIn(hold(5 * time.Millisecond)) }, []string{"15 hello from 1"}},
		{"tries to take delay away", func(s stage) {
			s.a.InterceptOut(hold(-5 * time.Millisecond))
			s.b.InterceptIn(hold(-5 * time.Millisecond))
		}, []string{"10 hello from 1"}},
		{"duplicates, the copies at other times", func(s stage) {
			s.a.InterceptOut(each(func(p fabric.Packet) []fabric.Packet {
				again := p
				again.Hold = 3 * time.Millisecond
				return []fabric.Packet{again, p}
			}))
		}, []string{"10 hello from 1", "13 hello from 1"}},
		{"rewrites on both sides", func(s stage) {
			s.a.InterceptOut(each(func(p fabric.Packet) []fabric.Packet {
				p.Data = append(p.Data, " there"...)
				return []fabric.Packet{p}
			}))
			s.b.InterceptIn(each(func(p fabric.Packet) []fabric.Packet {
				p.Data[0] = 'J'
				p.From = s.m.AddrPort()
				return []fabric.Packet{p}
			}))
		}, []string{"10 Jello there from 3"}},
		{"redirects over the attacker, who passes it on under a's name: the way takes 4 + 7", func(s stage) {
			s.a.InterceptOut(each(func(p fabric.Packet) []fabric.Packet { p.To = s.m.AddrPort(); return []fabric.Packet{p} }))
			s.m.InterceptIn(each(func(p fabric.Packet) []fabric.Packet { p.To = s.b.AddrPort(); return []fabric.Packet{p} }))
		}, []string{"11 hello from 1"}},
		{"sends an answer before the question, from its own place", func(s stage) {
			_ = s.m.SendRaw(fabric.Packet{From: s.a.AddrPort(), To: s.b.AddrPort(), Data: []byte("early")})
		}, []string{"7 early from 1", "10 hello from 1"}},
		{"touches other pairs only", func(s stage) {
			s.a.InterceptOut(fabric.OnPair(none, s.m.AddrPort(), drop))
			s.b.InterceptIn(fabric.OnPair(s.m.AddrPort(), none, drop))
		}, []string{"10 hello from 1"}},
		{"touches this pair", func(s stage) {
			s.b.InterceptIn(fabric.OnPair(s.a.AddrPort(), s.b.AddrPort(), hold(time.Millisecond)))
		}, []string{"11 hello from 1"}},
		{"makes it too big at the receiver", func(s stage) {
			s.b.InterceptIn(each(func(p fabric.Packet) []fabric.Packet { p.Data = make([]byte, 2000); return []fabric.Packet{p} }))
		}, nil},
		{"keeps and replays", func(s stage) {
			s.b.InterceptIn(fabric.InterceptorFunc(func(_ time.Time, p fabric.Packet) []fabric.Packet {
				time.AfterFunc(time.Second, func() { // the test ends before the replay of the replay
					_ = s.m.SendRaw(fabric.Packet{From: p.From, To: p.To, Data: slices.Concat(p.Data, []byte(" again"))})
				})
				return []fabric.Packet{p}
			}))
		}, []string{"10 hello from 1", "1017 hello again from 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFabric(t, fabric.Config{Path: triangle})
				s := stage{listen(t, f, "a"), listen(t, f, "b"), listen(t, f, "m")}
				start := time.Now()
				c.act(s)
				write(t, s.a, []byte("hello"), s.b.LocalAddr())
				must(t, s.b.SetReadDeadline(start.Add(1500*time.Millisecond)))
				var got []string
				for {
					buf := make([]byte, 100)
					n, from, at, err := s.b.ReadFromStamped(buf)
					if err != nil {
						break
					}
					got = append(got, fmt.Sprintf("%g %s from %d", float64(at.Sub(start))/1e6, buf[:n], from.Addr().As4()[3]))
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("b read %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestSendRawFromAClosedPlace(t *testing.T) {
	f := newFabric(t, fabric.Config{Path: fabric.Link{}})
	a := listen(t, f, "a")
	must(t, a.Close())
	if err := a.SendRaw(fabric.Packet{To: a.AddrPort()}); err == nil {
		t.Error("sent")
	}
}
