package statement_test

import (
	"fmt"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
)

func BenchmarkDecode(b *testing.B) {
	data, err := newScene(b, nil).statement(0).Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := statement.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyStatement(b *testing.B) {
	s := newScene(b, nil)
	payload, err := s.statement(0).Encode()
	if err != nil {
		b.Fatal(err)
	}
	batch, err := identity.SealBatch(s.beacons[0], identity.TypeStatement, [][]byte{payload, {1}, {2}})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		c     identity.Envelope
		roots *identity.RootCache
	}{{"plain", s.signed(0), nil}, {"root known", batch[0], identity.NewRootCache(4)}} {
		x := s.context()
		x.Roots = c.roots
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := statement.VerifyStatement(c.c, x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyProof(b *testing.B) {
	s := newScene(b, nil)
	for n := 1; n <= 3; n++ {
		p := s.proof()
		p.Statements = p.Statements[:n]
		data := s.seal(p)
		b.Run(fmt.Sprintf("%d statements", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := statement.VerifyProof(data, s.expect()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
