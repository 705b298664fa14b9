package exchange

import "testing"

// BenchmarkAnswer is what stands between a challenge's arrival and its answer's departure in a core: one MAC verified, one made.
func BenchmarkAnswer(b *testing.B) {
	keys := roundKeys{ch: [32]byte{1}, rs: [32]byte{2}, fn: [32]byte{3}}
	c := newCaller(DefaultLimits(), Session{1}, Seed{1}, keys, 1)
	a := newAnswerer(64, Session{1}, Seed{2}, keys, 1)
	b.ReportAllocs()
	for i := range b.N {
		a.next = 0
		if _, err := a.answer(&c.challenges[i%64]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFinish is what stands between an answer's arrival and FN's departure in a beacon: the same.
func BenchmarkFinish(b *testing.B) {
	keys := roundKeys{ch: [32]byte{1}, rs: [32]byte{2}, fn: [32]byte{3}}
	c := newCaller(DefaultLimits(), Session{1}, Seed{1}, keys, 1)
	a := newAnswerer(64, Session{1}, Seed{2}, keys, 1)
	rs, err := a.answer(&c.challenges[0])
	if err != nil {
		b.Fatal(err)
	}
	c.sent = 1
	b.ReportAllocs()
	for range b.N {
		c.state = callerOutstanding
		if _, err := c.answer(rs); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrepare is what Accept costs beside its signatures: keys, and 64 challenges with their MACs.
func BenchmarkPrepare(b *testing.B) {
	v := givenRounds()
	schedule := KeySchedule{KEMSecret: v.KEMSecret, ChannelKey: [32]byte(v.ChannelKey)}
	for range b.N {
		keys, err := schedule.derive()
		if err != nil {
			b.Fatal(err)
		}
		newCaller(DefaultLimits(), Session{1}, Seed{1}, keys, 1)
	}
}

// BenchmarkExchange is both sides of a whole exchange of eight rounds, all signatures included, without any network.
func BenchmarkExchange(b *testing.B) {
	for range b.N {
		p := newPair(b)
		p.run()
		p.bothDone()
	}
}
