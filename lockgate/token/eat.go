package token

import (
	"encoding/hex"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// EATProfile names the claims below (RFC 9711, claim 265).
const EATProfile = "https://github.com/ursa-virtual/ursa/eat/1"

// The claims of the CBOR form. The registered ones are of RFC 8392 and RFC 9711;
// those of this project stand in the range for private use.
const (
	claimIssuer        = 1
	claimSubject       = 2
	claimAudience      = 3
	claimExpires       = 4
	claimNotBefore     = 5
	claimIssuedAt      = 6
	claimID            = 7
	claimNonce         = 10
	claimProfile       = 265
	claimVerdict       = -70001
	claimPolicy        = -70002
	claimPermit        = -70003
	claimPermitHash    = -70004
	claimJurisdictions = -70005
	claimSpeed         = -70006
	claimF             = -70007
	claimPlatform      = -70008
	claimProof         = -70009
)

// COSE headers and algorithms (RFC 9052, RFC 9053).
const (
	headerAlg   = 1
	headerKid   = 4
	headerTyp   = 16
	coseES256   = -7
	coseEdDSA   = -8
	tagSign1    = 18
	typeEAT     = "application/eat+cwt"
	sigContext  = "Signature1"
	nonceLeast  = 8 // bytes, by RFC 9711
	nonceLength = 64
)

// EAT makes an Entity Attestation Token: a CWT in COSE_Sign1, deterministically
// encoded. A nonce must have 8 to 64 bytes.
func (i *Issuer) EAT(c Claims) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	claims := map[int]any{claimIssuer: i.url, claimSubject: c.Subject, claimAudience: c.Audience, claimExpires: c.Expires.Unix(),
		claimNotBefore: c.IssuedAt.Unix(), claimIssuedAt: c.IssuedAt.Unix(), claimID: []byte(c.ID), claimProfile: EATProfile,
		claimVerdict: inside, claimPermit: c.Permit, claimSpeed: c.Speed, claimF: c.F, claimPlatform: c.Platform}
	if c.Nonce != "" {
		if len(c.Nonce) < nonceLeast || len(c.Nonce) > nonceLength {
			return nil, fmt.Errorf("%w: a nonce has %d to %d bytes", ErrClaims, nonceLeast, nonceLength)
		}
		claims[claimNonce] = []byte(c.Nonce)
	}
	if len(c.Jurisdictions) > 0 {
		claims[claimJurisdictions] = c.Jurisdictions
	}
	for key, digits := range map[int]string{claimPolicy: c.Policy, claimPermitHash: c.PermitHash, claimProof: c.Proof} {
		b, err := hex.DecodeString(digits)
		if err != nil {
			return nil, fmt.Errorf("%w: a hash is not in hexadecimal digits", ErrClaims)
		}
		if len(b) > 0 {
			claims[key] = b
		}
	}
	payload, err := enc.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return i.sign1(enc, payload)
}

// sign1 makes the COSE_Sign1 structure around a payload.
func (i *Issuer) sign1(enc cbor.EncMode, payload []byte) ([]byte, error) {
	alg := coseES256
	if i.key.alg == EdDSA {
		alg = coseEdDSA
	}
	protected, err := enc.Marshal(map[int]any{headerAlg: alg, headerTyp: typeEAT})
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	tbs, err := enc.Marshal([]any{sigContext, protected, []byte{}, payload})
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	sig, err := i.key.sign(tbs)
	if err != nil {
		return nil, err
	}
	out, err := enc.Marshal(cbor.Tag{Number: tagSign1, Content: []any{protected, map[int]any{headerKid: []byte(i.key.id)}, payload, sig}})
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return out, nil
}
