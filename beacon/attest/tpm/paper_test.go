package tpm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

const now int64 = 1_800_000_000_000_000_000

// paper is a TPM on paper: keys that this process holds, so that it can sign what no TPM would. Every test runs with it everywhere;
// the tests with swtpm show that real ones behave like its honest form.
type paper struct {
	t          testing.TB
	maker      *authority
	chain      [][]byte
	ak         *ecdsa.PrivateKey
	attributes tpm2.TPMAObject
	enroller   *identity.Private
	firmware   []Extend
	own        []Event
	quoted     []uint
	clock      tpm2.TPMSClockInfo
	version    uint64

	changeAK     func(*tpm2.TPMTPublic)
	changeRecord func(*Record)
	changeQuote  func(*tpm2.TPMSAttest)
	changeSigned func([]byte) []byte // bytes before signing
	changeBody   func(*body)
}

// authority is a manufacturer.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, now).AddDate(-1, 0, 0), NotAfter: time.Unix(0, now).AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte(name)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// endorse issues an endorsement certificate with the TCG's critical alternative name.
func (a *authority) endorse(t testing.TB, serial int64, change func(*x509.Certificate)) []byte {
	t.Helper()
	return a.endorseKey(t, serial, &newKey(t).PublicKey, change)
}

func (a *authority) endorseKey(t testing.TB, serial int64, key *ecdsa.PublicKey, change func(*x509.Certificate)) []byte {
	t.Helper()
	model, err := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Unix(0, now).AddDate(-1, 0, 0), NotAfter: time.Unix(0, now).AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageKeyAgreement, UnknownExtKeyUsage: []asn1.ObjectIdentifier{oidEKCertificate},
		ExtraExtensions: []pkix.Extension{{Id: oidSubjectAltName, Critical: true, Value: model}}}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func enrollerKey(t testing.TB, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(identity.RoleAppraiser, [32]byte{n, 0x70})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newPaper is an honest machine of that manufacturer: measured boot, one build.
func newPaper(t testing.TB, maker *authority) *paper {
	p := &paper{t: t, maker: maker, chain: [][]byte{maker.endorse(t, 7, nil)}, ak: newKey(t), attributes: akTemplate().ObjectAttributes,
		enroller: enrollerKey(t, 1), own: []Event{{Type: EventBuild, Data: []byte("build 1")}},
		quoted: []uint{0, 1, 2, 3, 4, 5, 6, 7, OwnPCR}, clock: tpm2.TPMSClockInfo{Clock: 1000, ResetCount: 3, Safe: true}, version: 5}
	for pcr := range uint8(8) {
		p.firmware = append(p.firmware, Extend{PCR: pcr, Digest: sha256.Sum256([]byte{pcr})})
	}
	return p
}

func (p *paper) verifier(change func(*VerifierConfig)) *Verifier {
	p.t.Helper()
	c := VerifierConfig{Enrollers: []identity.Public{enrollerKey(p.t, 1).Public()}, Endorsement: Endorsement{Roots: []*x509.Certificate{p.maker.cert}}}
	if change != nil {
		change(&c)
	}
	v, err := NewVerifier(c)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

func (p *paper) Platform() attest.Platform { return attest.TPM }

func (p *paper) akPublic() []byte {
	t := akTemplate()
	t.ObjectAttributes = p.attributes
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: p.ak.X.FillBytes(make([]byte, 32))},
		Y: tpm2.TPM2BECCParameter{Buffer: p.ak.Y.FillBytes(make([]byte, 32))}})
	if p.changeAK != nil {
		p.changeAK(&t)
	}
	return tpm2.Marshal(t)
}

func (p *paper) record(ak []byte) []byte {
	leaf, err := x509.ParseCertificate(p.chain[0])
	if err != nil {
		p.t.Fatal(err)
	}
	r := Record{Version: 1, AKName: nameOf(ak), Chain: hashChain(p.chain), Machine: machineOf(leaf), IssuedUnixNS: now - 1e9, ExpiresUnixNS: now + 3600e9}
	if p.changeRecord != nil {
		p.changeRecord(&r)
	}
	payload, err := canon.Marshal(r)
	if err != nil {
		p.t.Fatal(err)
	}
	e, err := identity.Seal(p.enroller, TypeEnrolment, payload)
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := e.Encode()
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// Report signs as the machine's TPM would, unless told otherwise.
func (p *paper) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	ak := p.akPublic()
	b := body{Version: 1, Record: p.record(ak), Chain: p.chain, AK: ak, Firmware: p.firmware, Own: p.own}
	registers, err := replay(0, p.firmware, p.own)
	if err != nil {
		return nil, err
	}
	all := sha256.New()
	for _, i := range p.quoted {
		b.PCRs = append(b.PCRs, pcrValue{Index: uint8(i), Digest: registers[i]})
		all.Write(registers[i][:])
	}
	quote := tpm2.TPMSAttest{Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestQuote, ExtraData: tpm2.TPM2BData{Buffer: reportData[:]},
		ClockInfo: p.clock, FirmwareVersion: p.version, Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(p.quoted...)}}},
			PCRDigest: tpm2.TPM2BDigest{Buffer: all.Sum(nil)}})}
	if p.changeQuote != nil {
		p.changeQuote(&quote)
	}
	b.Quote = tpm2.Marshal(quote)
	if p.changeSigned != nil {
		b.Quote = p.changeSigned(b.Quote)
	}
	digest := sha256.Sum256(b.Quote)
	r, s, err := ecdsa.Sign(rand.Reader, p.ak, digest[:])
	if err != nil {
		return nil, err
	}
	b.R, b.S = r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))
	if p.changeBody != nil {
		p.changeBody(&b)
	}
	return canon.Marshal(b)
}
