package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of a quote and of what enrolment said about its key.
var (
	ErrVerifier         = errors.New("TPM verifier is not well configured")
	ErrUnknownEnroller  = errors.New("enrolment is signed by an unknown enroller")
	ErrRecord           = errors.New("enrolment record is not well formed or its signature does not verify")
	ErrRecordExpired    = errors.New("enrolment has expired: enrol the machine again")
	ErrRecordChain      = errors.New("enrolment is about other endorsement certificates than come with the evidence: collect it with those that were given when it was enrolled")
	ErrAKName           = errors.New("attestation key is not the one that was enrolled")
	ErrMagic            = errors.New("signed structure was not made by a TPM")
	ErrNotQuote         = errors.New("signed structure is not a quote")
	ErrPCRSelection     = errors.New("quote does not select the listed registers of the SHA-256 bank")
	ErrPCRDigest        = errors.New("register values are not the quoted ones")
	ErrReportDataLength = errors.New("quote's extra data is not 32 bytes of report data")
)

// DefaultBootPCRs are firmware code, option ROMs, boot loader and secure-boot policy (PC Client Platform Firmware Profile §3.3.4).
var DefaultBootPCRs = []int{0, 2, 4, 7}

// VerifierConfig configures a verifier.
type VerifierConfig struct {
	Enrollers   []identity.Public // of role appraiser: whose records are believed
	Endorsement Endorsement       // which manufacturers are
	BootPCRs    []int             // required and part of the measurement; DefaultBootPCRs if nil, each 0 to 7
	History     *Clocks           // remembers clocks to notice a TPM that was set back; nil: does not
}

// Verifier verifies TPM quotes offline. Safe for concurrent use.
type Verifier struct {
	enrollers   map[identity.ID]identity.Public
	endorsement Endorsement
	boot        []int
	history     *Clocks
}

// NewVerifier checks the configuration: ErrVerifier.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	v := &Verifier{enrollers: map[identity.ID]identity.Public{}, endorsement: c.Endorsement, boot: slices.Clone(c.BootPCRs), history: c.History}
	if c.BootPCRs == nil {
		v.boot = slices.Clone(DefaultBootPCRs)
	}
	slices.Sort(v.boot)
	v.boot = slices.Compact(v.boot)
	if len(v.boot) == 0 || v.boot[0] < 0 || v.boot[len(v.boot)-1] > 7 {
		return nil, fmt.Errorf("%w: boot registers %v, want some of 0 to 7", ErrVerifier, c.BootPCRs)
	}
	for _, e := range c.Enrollers {
		if e.Role() != identity.RoleAppraiser {
			return nil, fmt.Errorf("%w: enroller of role %s, want %s", ErrVerifier, e.Role(), identity.RoleAppraiser)
		}
		v.enrollers[e.ID()] = e
	}
	if len(v.enrollers) == 0 || len(c.Endorsement.Roots) == 0 {
		return nil, fmt.Errorf("%w: %d enrollers, %d manufacturers' roots; at least one of each", ErrVerifier, len(v.enrollers), len(c.Endorsement.Roots))
	}
	return v, nil
}

// Platform returns attest.TPM.
func (v *Verifier) Platform() attest.Platform { return attest.TPM }

// Verify checks a body. In this order, each with its own error:
//
//	attest.ErrEvidence   size and canonical encoding; attest.ErrVersion
//	ErrUnknownEnroller   the enrolment record is of an enroller we believe
//	ErrRecord            its signature and form
//	ErrRecordExpired     it holds at now
//	ErrRecordChain       it is about these endorsement certificates
//	attest.ErrWrongRoot  which lead to a manufacturer's root; attest.ErrCollateralExpired, ErrEKUsage
//	attest.ErrCertificateRevoked  and are not revoked; attest.ErrNoCRL, attest.ErrCRL
//	ErrAKAlgorithm, ErrAKAttributes  the attestation key is a restricted signing key
//	ErrAKName            and the one that was enrolled
//	ErrMagic, ErrNotQuote  what it signed is a quote made by the TPM
//	attest.ErrReportSignature  with a good signature
//	ErrReportDataLength  over report data
//	ErrPCRSelection      of the registers that the body lists
//	ErrPCRMissing        among them all required ones
//	ErrPCRDigest         with the listed values
//	ErrPCRUnused         the boot was measured
//	ErrLogTooLong, ErrLogReplay  both logs replay to those values
//	ErrEventType, ErrReconfigured, ErrNoBuild  our own log says one thing
//	ErrClockBack         the TPM is not an older state of itself
func (v *Verifier) Verify(encoded []byte, nowUnixNS int64) (attest.Claims, error) {
	f, err := v.Examine(encoded, nowUnixNS)
	if err != nil {
		return attest.Claims{}, err
	}
	return f.Claims, nil
}

// Findings is what a verified body says, in more detail than other platforms share.
type Findings struct {
	Claims   attest.Claims
	Measured Measured
	PCRs     map[int][32]byte // all quoted registers
	Clock    Clock
	Enroller identity.ID
}

// Examine is Verify with more detail, for showing.
func (v *Verifier) Examine(encoded []byte, nowUnixNS int64) (Findings, error) {
	b, err := decodeBody(encoded)
	if err != nil {
		return Findings{}, err
	}
	record, enroller, err := v.openRecord(b.Record, nowUnixNS)
	if err != nil {
		return Findings{}, err
	}
	if err := v.checkChain(b.Chain, record, nowUnixNS); err != nil {
		return Findings{}, err
	}
	ak, err := parseAK(b.AK)
	if err != nil {
		return Findings{}, err
	}
	if !bytes.Equal(nameOf(b.AK), record.AKName) {
		return Findings{}, ErrAKName
	}
	quote, err := openQuote(b, ak.key)
	if err != nil {
		return Findings{}, err
	}
	pcrs, err := v.checkPCRs(b, quote)
	if err != nil {
		return Findings{}, err
	}
	f, err := v.conclude(b, quote, pcrs)
	if err != nil {
		return Findings{}, err
	}
	f.Enroller, f.Claims.Machine, f.Claims.Migratable = enroller, record.Machine, ak.migratable
	f.Claims.Key = attest.Credential(b.AK)
	f.Claims.Credentials = append(credentials(b.Chain), f.Claims.Key)
	return f, v.history.advance(record.Machine, f.Clock)
}

// DecodeRecord reads an enrolment record without verifying it, for showing, and who claims to have signed it.
func DecodeRecord(encoded []byte) (Record, identity.ID, error) {
	e, err := identity.DecodeEnvelope(encoded, MaxRecordSize)
	if err != nil {
		return Record{}, identity.ID{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	var r Record
	if err := canon.Unmarshal(e.Payload, &r, MaxRecordSize); err != nil {
		return Record{}, identity.ID{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return r, e.Signer, nil
}

func (v *Verifier) openRecord(encoded []byte, now int64) (Record, identity.ID, error) {
	e, err := identity.DecodeEnvelope(encoded, MaxRecordSize)
	if err != nil {
		return Record{}, identity.ID{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	enroller, ok := v.enrollers[e.Signer]
	if !ok {
		return Record{}, identity.ID{}, fmt.Errorf("%w: %s", ErrUnknownEnroller, e.Signer.Short())
	}
	payload, err := e.Open(enroller, TypeEnrolment)
	if err != nil {
		return Record{}, identity.ID{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	var r Record
	if err := canon.Unmarshal(payload, &r, MaxRecordSize); err != nil {
		return Record{}, identity.ID{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	switch {
	case r.Version != 1:
		return Record{}, identity.ID{}, fmt.Errorf("%w: version %d", ErrRecord, r.Version)
	case now >= r.ExpiresUnixNS || now < r.IssuedUnixNS-int64(attest.MaxClockSkew) || r.ExpiresUnixNS-r.IssuedUnixNS > int64(MaxEnrolment):
		return Record{}, identity.ID{}, ErrRecordExpired
	}
	return r, e.Signer, nil
}

func (v *Verifier) checkChain(chain [][]byte, r Record, now int64) error {
	if hashChain(chain) != r.Chain {
		return ErrRecordChain
	}
	certificates, err := parseChain(chain)
	if err != nil {
		return err
	}
	return v.endorsement.verify(certificates, time.Unix(0, now))
}

// openQuote parses what the key signed and verifies the signature. The magic number comes first: a key that is not restricted could
// sign any bytes.
func openQuote(b body, key *ecdsa.PublicKey) (*tpm2.TPMSAttest, error) {
	if len(b.Quote) < 6 || len(b.Quote) > 1024 || binary.BigEndian.Uint32(b.Quote) != uint32(tpm2.TPMGeneratedValue) {
		return nil, ErrMagic
	}
	if binary.BigEndian.Uint16(b.Quote[4:]) != uint16(tpm2.TPMSTAttestQuote) {
		return nil, ErrNotQuote
	}
	quote, err := tpm2.Unmarshal[tpm2.TPMSAttest](b.Quote)
	if err != nil || !bytes.Equal(tpm2.Marshal(quote), b.Quote) {
		return nil, fmt.Errorf("%w: not its own encoding", ErrNotQuote)
	}
	digest := sha256.Sum256(b.Quote)
	if len(b.R) != 32 || len(b.S) != 32 || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(b.R), new(big.Int).SetBytes(b.S)) {
		return nil, fmt.Errorf("quote: %w", attest.ErrReportSignature)
	}
	if len(quote.ExtraData.Buffer) != 32 {
		return nil, ErrReportDataLength
	}
	return quote, nil
}

// checkPCRs returns the registers whose values the quote covers.
func (v *Verifier) checkPCRs(b body, quote *tpm2.TPMSAttest) (map[int][32]byte, error) {
	info, err := quote.Attested.Quote()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotQuote, err)
	}
	values, indices, all := make(map[int][32]byte, len(b.PCRs)), []uint{}, sha256.New()
	for i, p := range b.PCRs {
		if p.Index >= 24 || i > 0 && b.PCRs[i-1].Index >= p.Index {
			return nil, fmt.Errorf("%w: index %d", ErrPCRSelection, p.Index)
		}
		values[int(p.Index)] = p.Digest
		indices = append(indices, uint(p.Index))
		all.Write(p.Digest[:])
	}
	selection := info.PCRSelect.PCRSelections
	if len(selection) != 1 || selection[0].Hash != tpm2.TPMAlgSHA256 || !bytes.Equal(selection[0].PCRSelect, tpm2.PCClientCompatible.PCRs(indices...)) {
		return nil, ErrPCRSelection
	}
	for _, i := range append([]int{OwnPCR}, v.boot...) {
		if _, ok := values[i]; !ok {
			return nil, fmt.Errorf("%w: %d", ErrPCRMissing, i)
		}
	}
	if !bytes.Equal(all.Sum(nil), info.PCRDigest.Buffer) {
		return nil, ErrPCRDigest
	}
	return values, nil
}

// conclude replays the logs and reads what they say.
func (v *Verifier) conclude(b body, quote *tpm2.TPMSAttest, pcrs map[int][32]byte) (Findings, error) {
	boot, unused := make(map[int][32]byte, len(v.boot)), initial(0)
	for _, i := range v.boot {
		if pcrs[i] == unused[i] {
			return Findings{}, fmt.Errorf("%w: %d", ErrPCRUnused, i)
		}
		boot[i] = pcrs[i]
	}
	replayed, err := replay(b.Locality, b.Firmware, b.Own)
	if err != nil {
		return Findings{}, err
	}
	for i := range replayed {
		if value, quoted := pcrs[i]; quoted && replayed[i] != value {
			return Findings{}, fmt.Errorf("%w: register %d", ErrLogReplay, i)
		}
	}
	own, err := readOwn(b.Own)
	if err != nil {
		return Findings{}, err
	}
	f := Findings{Measured: own, PCRs: pcrs, Clock: clockOf(quote), Claims: attest.Claims{
		ReportData: [32]byte(quote.ExtraData.Buffer), Measurement: Measurement(boot, own.Build), TCB: quote.FirmwareVersion}}
	if own.Configuration != nil {
		f.Claims.Configuration = attest.HashConfiguration(own.Configuration)
	}
	return f, nil
}
