package statement_test

import (
	"bytes"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// A statement that decodes has one encoding and obeys every rule that a bound rests on.
func FuzzStatement(f *testing.F) {
	s := newScene(f, nil)
	good, err := s.statement(0).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := statement.Decode(data)
		if err != nil {
			return
		}
		if again, err := st.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("two encodings of one statement: %v", err)
		}
		if st.RTTBeaconMinNS <= 0 || st.RTTCoreMinNS <= 0 || st.RTTBeaconMinNS > st.RTTBeaconP10NS || st.PosUncMM == 0 ||
			st.RoundsOK > st.RoundsSent || st.RoundsOK < statement.MinRounds || len(st.Domains) == 0 || st.TimerGranularityNS == 0 {
			t.Fatalf("a broken statement decodes: %+v", st)
		}
		e, err := identity.Seal(s.beacons[0], identity.TypeStatement, data)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := statement.VerifyStatement(e, s.context()); err == nil && got.RTTBeaconMinNS != st.RTTBeaconMinNS {
			t.Fatal("verified is something else than was decoded")
		}
	})
}

func FuzzChallenge(f *testing.F) {
	s := newScene(f, nil)
	f.Add(s.envelope.Payload)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := statement.DecodeChallenge(data)
		if err != nil {
			return
		}
		if again, err := canon.Marshal(c); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("two encodings of one challenge: %v", err)
		}
		if len(c.Committee) == 0 || c.TTLNS <= 0 || c.RoundsMin < statement.MinRounds {
			t.Fatalf("a broken challenge decodes: %+v", c)
		}
	})
}

// Whatever comes in as a proof, nothing but the honest one verifies; a payload is also tried with the core's own signature.
func FuzzProof(f *testing.F) {
	s := newScene(f, nil)
	p := s.full()
	p.Statements = p.Statements[:1]
	payload, err := canon.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.signProof(payload), payload)
	f.Fuzz(func(t *testing.T, encoded, payload []byte) {
		s.t = t
		if p, err := statement.DecodeProof(encoded); err == nil {
			if v, err := statement.VerifyProof(encoded, s.expect()); err == nil && len(v.Facts) != len(p.Statements) {
				t.Fatal("facts without statements")
			}
		}
		v, err := statement.VerifyProof(s.signProof(payload), s.expect())
		if err != nil {
			return
		}
		for _, fact := range v.Facts {
			if fact.Bound(statement.TimingBoth) < 1_010_000 {
				t.Fatal("a bound below what honest beacons measured")
			}
		}
	})
}
