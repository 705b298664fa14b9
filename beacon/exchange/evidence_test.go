package exchange

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ursa-virtual/ursa/beacon/statement"
)

func TestEvidenceMessages(t *testing.T) {
	ask, err := Ask([32]byte{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	if nonce, err := ParseAsk(ask); err != nil || nonce != [32]byte{1, 2} {
		t.Error(nonce, err)
	}
	full := Shown{Result: make([]byte, statement.MaxResultSize), Evidence: make([]byte, MaxEvidence), Nonces: make([][32]byte, MaxShared)}
	for _, s := range []Shown{{Result: []byte("r")}, {Result: []byte("r"), Evidence: []byte("e"), Nonces: [][32]byte{{1}, {2}}}, full} {
		msg, err := Show(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseShown(msg)
		if err != nil || !bytes.Equal(got.Result, s.Result) || !bytes.Equal(got.Evidence, s.Evidence) || len(got.Nonces) != len(s.Nonces) {
			t.Errorf("%+v %v", got, err)
		}
	}
	if _, err := ParseShown(ask); !errors.Is(err, ErrUnexpected) {
		t.Error(err)
	}
	if _, err := ParseShown(Refusal(ErrBusy)); !errors.Is(err, ErrRefused) {
		t.Error("a refusal:", err)
	}
	many, err := Show(Shown{Result: []byte("r"), Nonces: make([][32]byte, MaxShared+1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseShown(many); !errors.Is(err, ErrMalformed) {
		t.Error("too many askers:", err)
	}
}

// A nonce is worth nothing over another channel, or among other askers.
func TestEvidenceNonces(t *testing.T) {
	mine := ChannelNonce([32]byte{1}, [32]byte{2})
	if mine == ChannelNonce([32]byte{1}, [32]byte{3}) || mine == ChannelNonce([32]byte{2}, [32]byte{2}) {
		t.Error("channel or nonce does not matter")
	}
	both := [][32]byte{mine, {9}}
	if SharedNonce(both) == SharedNonce(both[:1]) || SharedNonce(both) == SharedNonce([][32]byte{{9}, mine}) || SharedNonce(both[:1]) == mine {
		t.Error("the list does not matter")
	}
	if s := (Shown{Nonces: both}); !s.Answers(mine) || s.Answers([32]byte{8}) {
		t.Error("whom it answers")
	}
}

func FuzzParseShown(f *testing.F) {
	msg, err := Show(Shown{Result: []byte("r"), Evidence: []byte("e"), Nonces: [][32]byte{{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ParseShown(data)
		if err != nil {
			return
		}
		again, err := Show(s)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("two encodings of one thing: %v", err)
		}
	})
}
