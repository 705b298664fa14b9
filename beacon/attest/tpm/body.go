package tpm

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// MaxBodySize is the largest encoded body in bytes; the envelope of package attest adds some.
const MaxBodySize = attest.MaxEvidenceSize - 1024

// OwnPCR holds what Machine.Measure extends. Nothing resets it but a reboot. Shim extends it too, during boot; the logs replay in
// that order.
const OwnPCR = 14

// The types of our own events.
const (
	EventBuild         = "build"         // data: SHA-256 of the program
	EventConfiguration = "configuration" // data: attest.Configuration, encoded
)

// body is the evidence of the platform: a claim.
type body struct {
	Version  uint64     `cbor:"1,keyasint"`
	Record   []byte     `cbor:"2,keyasint"` // envelope of type enrolment
	Chain    [][]byte   `cbor:"3,keyasint"` // DER: EK certificate, then its issuers without the root
	AK       []byte     `cbor:"4,keyasint"` // TPMT_PUBLIC
	Quote    []byte     `cbor:"5,keyasint"` // TPMS_ATTEST
	R        []byte     `cbor:"6,keyasint"` // ECDSA signature over Quote, big-endian, 32 bytes each
	S        []byte     `cbor:"7,keyasint"`
	PCRs     []pcrValue `cbor:"8,keyasint"` // ascending by index, SHA-256 bank
	Locality uint64     `cbor:"9,keyasint"` // in which the platform started: the initial value of PCR 0
	Firmware []Extend   `cbor:"10,keyasint"`
	Own      []Event    `cbor:"11,keyasint"`
}

// pcrValue is the value of one register.
type pcrValue struct {
	_      struct{} `cbor:",toarray"`
	Index  uint8
	Digest [32]byte
}

// Extend is one digest that was extended into one register.
type Extend struct {
	_      struct{} `cbor:",toarray"`
	PCR    uint8
	Digest [32]byte
}

// Event is a measurement of our own: the digest that goes into OwnPCR covers type and data.
type Event struct {
	_    struct{} `cbor:",toarray"`
	Type string
	Data []byte
}

// Digest is what is extended.
func (e Event) Digest() [32]byte { return identity.Hash("tpm event", []byte(e.Type), e.Data) }

func decodeBody(data []byte) (body, error) {
	var b body
	if err := canon.Unmarshal(data, &b, MaxBodySize); err != nil {
		return body{}, fmt.Errorf("%w: %w", attest.ErrEvidence, err)
	}
	if b.Version != attest.Version {
		return body{}, fmt.Errorf("tpm body: %w %d, want %d", attest.ErrVersion, b.Version, attest.Version)
	}
	return b, nil
}

// parsePublic reads a TPMT_PUBLIC and nothing else: what does not marshal to the same bytes again is refused.
func parsePublic(data []byte) (*tpm2.TPMTPublic, error) {
	if len(data) > 1024 {
		return nil, fmt.Errorf("%w: public area of %d bytes", attest.ErrEvidence, len(data))
	}
	p, err := tpm2.Unmarshal[tpm2.TPMTPublic](data)
	if err != nil {
		return nil, fmt.Errorf("%w: public area: %w", attest.ErrEvidence, err)
	}
	if !bytes.Equal(tpm2.Marshal(p), data) {
		return nil, fmt.Errorf("%w: public area has another encoding", attest.ErrEvidence)
	}
	return p, nil
}

// nameOf is the TPM's name of a SHA-256 object: algorithm and hash of its public area (TPM 2.0 part 1, §16).
func nameOf(public []byte) []byte {
	h := sha256.Sum256(public)
	return append([]byte{byte(tpm2.TPMAlgSHA256 >> 8), byte(tpm2.TPMAlgSHA256 & 0xff)}, h[:]...)
}
