package bench

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// opened is a near side for benchmarks: both ends on one processor.
func opened(b *testing.B) *near {
	b.Helper()
	cfg, err := Config{Peer: otherEnd}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	n := &near{cfg: cfg, rnd: rand.New(rand.NewPCG(1, 0))}
	b.Cleanup(n.close)
	if err := n.open(); err != nil {
		b.Fatal(err)
	}
	return n
}

// nameOf makes a benchmark's name of a variant's.
func nameOf(name string) string { return strings.NewReplacer(" ", "-", ",", "").Replace(name) }

// BenchmarkRoundTrip reports the round trips of each variant; an operation is a block of them. For comparisons use the command, which mixes the
// blocks of all variants: what is measured minutes apart cannot be compared.
func BenchmarkRoundTrip(b *testing.B) {
	n := opened(b)
	echoes, e, err := n.echoes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ports, p, err := n.portEchoes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	rounds, r, err := n.rounds(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var last []*series // of each variant, the series with the kernel's stamps where there is one
	for i := 1; i < len(e); i += 2 {
		last = append(last, e[i])
	}
	last = append(append(last, p...), r...)
	for i, v := range append(append(echoes, ports...), rounds...) {
		b.Run(nameOf(v.name), func(b *testing.B) {
			last[i].all = nil
			for b.Loop() {
				if err := v.block(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			if sum, ok := summarise(last[i].all); ok {
				b.ReportMetric(float64(sum.MinNS)/micro, "min-µs")
				b.ReportMetric(float64(sum.P50NS)/micro, "p50-µs")
			}
		})
	}
}

// BenchmarkCost reports the processor time of one answer, handshake, session or operation; a benchmark's operation is a block of them.
func BenchmarkCost(b *testing.B) {
	n := opened(b)
	answers, a, err := n.answers(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	shakes, h, err := n.handshakes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	sessions, s, err := n.sessions(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ledgers := append(append(a, h...), s...)
	for i, v := range append(append(answers, shakes...), sessions...) {
		b.Run(nameOf(v.name), func(b *testing.B) {
			ledgers[i].micros = nil
			for b.Loop() {
				if err := v.block(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			if m, ok := median(ledgers[i].micros); ok {
				b.ReportMetric(m, "cpu-µs/item")
			}
		})
	}
}
