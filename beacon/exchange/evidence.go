package exchange

import (
	"fmt"
	"slices"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Before it opens an exchange, a core may ask the beacon what runs there:
//
//	core → beacon   Ask{nonce}
//	beacon → core   Evidence{result, evidence, nonces}
//	core → beacon   Init … the exchange proper, on the same stream, or the core goes away
//
// Nothing of this is timed, and no machine of this package is running yet. The nonce that the evidence answers is made of the asker's
// and of the channel, so evidence cannot be fetched from one machine and shown by another that stole its key: over another channel the
// honest machine makes another nonce. A machine that is asked by many at once answers all of them by one quote over the hash of their
// nonces, so that a slow TPM is no bottleneck.
const (
	KindAsk      Kind = 9  // core → beacon, before Init: show what runs there
	KindEvidence Kind = 10 // beacon → core: attestation result, and evidence where it has any
)

// MaxShared is how many askers one piece of evidence may answer.
const MaxShared = 64

// MaxEvidence is the largest evidence in bytes.
const MaxEvidence = 64 << 10

type askBody struct {
	Nonce [32]byte `cbor:"1,keyasint"`
}

type evidenceBody struct {
	Result   []byte     `cbor:"1,keyasint"`
	Evidence []byte     `cbor:"2,keyasint"` // empty: this machine has none
	Nonces   [][32]byte `cbor:"3,keyasint"` // of everybody whom this evidence answers; empty without evidence
}

// Shown is what a beacon showed of itself: claims.
type Shown struct {
	Result   []byte     // its encoded attestation result
	Evidence []byte     // encoded evidence; empty: none
	Nonces   [][32]byte // of everybody whom the evidence answers
}

// Ask returns the message that asks for evidence.
func Ask(nonce [32]byte) ([]byte, error) {
	msg, _, err := encode(KindAsk, askBody{nonce})
	return msg, err
}

// ParseAsk reads a whole message that must be an Ask.
func ParseAsk(msg []byte) (nonce [32]byte, err error) {
	k, body, err := split(msg)
	if err != nil {
		return nonce, err
	}
	var b askBody
	if k != KindAsk {
		return nonce, fmt.Errorf("%w (kind %d)", ErrUnexpected, k)
	}
	err = decode(KindAsk, body, &b)
	return b.Nonce, err
}

// Show returns the message that answers an Ask.
func Show(s Shown) ([]byte, error) {
	if s.Evidence == nil {
		s.Evidence = []byte{}
	}
	if s.Nonces == nil {
		s.Nonces = [][32]byte{}
	}
	msg, _, err := encode(KindEvidence, evidenceBody(s))
	return msg, err
}

// ParseShown reads a whole message that must answer an Ask; a refusal is returned as such.
func ParseShown(msg []byte) (Shown, error) {
	k, body, err := split(msg)
	switch {
	case err != nil:
		return Shown{}, err
	case k == KindRefused:
		return Shown{}, refused(body)
	case k != KindEvidence:
		return Shown{}, fmt.Errorf("%w (kind %d)", ErrUnexpected, k)
	}
	var b evidenceBody
	if err := decode(KindEvidence, body, &b); err != nil {
		return Shown{}, err
	}
	if len(b.Nonces) > MaxShared || len(b.Evidence) > MaxEvidence || len(b.Result) > statement.MaxResultSize {
		return Shown{}, fmt.Errorf("%w: %d nonces, %d bytes of evidence, %d of result", ErrMalformed, len(b.Nonces), len(b.Evidence), len(b.Result))
	}
	return Shown(b), nil
}

// ChannelNonce is an asker's nonce as both ends of a channel know it.
func ChannelNonce(nonce, binding [32]byte) [32]byte {
	return identity.Hash("evidence over a channel", nonce[:], binding[:])
}

// SharedNonce is what evidence answers: the hash of all askers' channel nonces.
func SharedNonce(nonces [][32]byte) [32]byte {
	parts := make([][]byte, len(nonces))
	for i := range nonces {
		parts[i] = nonces[i][:]
	}
	return identity.Hash("evidence for many", parts...)
}

// Answers says whether the evidence was made for the asker with this channel nonce too.
func (s Shown) Answers(channelNonce [32]byte) bool { return slices.Contains(s.Nonces, channelNonce) }
