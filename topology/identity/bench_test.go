package identity

import (
	"fmt"
	"testing"
)

func BenchmarkSign(b *testing.B) {
	k, _ := FromSeed(RoleCore, [32]byte{1})
	msg := make([]byte, 700)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		msg[0], msg[1] = byte(i), byte(i>>8)
		if _, err := k.Sign(TypeProof, msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	k, _ := FromSeed(RoleCore, [32]byte{1})
	pub, msg := k.Public(), make([]byte, 700)
	sig, _ := k.Sign(TypeProof, msg)
	b.ReportAllocs()
	for b.Loop() {
		if err := pub.Verify(TypeProof, msg, sig); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePublic(b *testing.B) {
	k, _ := FromSeed(RoleCore, [32]byte{1})
	data, _ := k.Public().MarshalBinary()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePublic(data); err != nil {
			b.Fatal(err)
		}
	}
}

// Signing a batch costs one signature and two hashes for each payload.
func BenchmarkSealBatch(b *testing.B) {
	k, _ := FromSeed(RoleBeacon, [32]byte{1})
	for _, n := range []int{1, 16, 256} {
		list := make([][]byte, n)
		for i := range list {
			list[i] = append(make([]byte, 700), byte(i), byte(i>>8))
		}
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := SealBatch(k, TypeStatement, list); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/payload")
		})
	}
}

func BenchmarkOpenBatch(b *testing.B) {
	k, _ := FromSeed(RoleBeacon, [32]byte{1})
	list := make([][]byte, 64)
	for i := range list {
		list[i] = append(make([]byte, 700), byte(i))
	}
	envelopes, _ := SealBatch(k, TypeStatement, list)
	for name, cache := range map[string]*RootCache{"uncached": nil, "cached": NewRootCache(8)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := cache.Open(envelopes[i%64], k.Public(), TypeStatement); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKEM(b *testing.B) {
	k, _ := NewTimedKey(nil)
	ct, _, _ := k.Public().Encapsulate(nil)
	b.Run("encapsulate", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := k.Public().Encapsulate(nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decapsulate", func(b *testing.B) {
		for b.Loop() {
			if _, err := k.Decapsulate(ct); err != nil {
				b.Fatal(err)
			}
		}
	})
}
