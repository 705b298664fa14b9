package grant

import (
	"encoding/hex"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/revoke"
)

// A list takes away what an attestation rests on, whoever attested: the machine, the code with and without its configuration, and the
// keys and certificates.
func TestWithdrawn(t *testing.T) {
	r := attest.Result{Machine: [32]byte{1}, Measurement: []byte{2}, Code: []byte{3}, Credentials: [][32]byte{{4}, {5}}}
	name := func(b ...byte) string { return hex.EncodeToString(b) }
	long := func(n byte) string { b := [32]byte{n}; return name(b[:]...) }
	for _, c := range []struct {
		entry revoke.Entry
		want  bool
	}{
		{revoke.Entry{Kind: revoke.Chip, Name: long(1)}, true}, {revoke.Entry{Kind: revoke.Chip, Name: long(2)}, false},
		{revoke.Entry{Kind: revoke.Measurement, Name: name(2)}, true}, {revoke.Entry{Kind: revoke.Measurement, Name: name(3)}, true},
		{revoke.Entry{Kind: revoke.Measurement, Name: name(4)}, false}, {revoke.Entry{Kind: revoke.Credential, Name: long(5)}, true},
		{revoke.Entry{Kind: revoke.Credential, Name: long(1)}, false},
	} {
		l := revoke.List{Entries: []revoke.Entry{c.entry}}
		if why, got := withdrawn(l, r); got != c.want || got != (why != "") {
			t.Errorf("%v: %t %q, want %t", c.entry, got, why, c.want)
		}
	}
	f := Finding{Verified: &statement.Verified{Facts: []statement.Fact{{}, {}}}}
	if got := f.standing(revoke.List{}); len(got) != 2 {
		t.Error("dropped without a reason")
	}
}
