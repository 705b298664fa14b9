package tdx

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/pcs"
	"github.com/google/go-tdx-guest/verify"
)

// What the library's released version does for quotes of version 4, for those of version 5. The tests hold both against each other on
// quotes of version 4, which both can read.

// errSignature names the signature that does not verify.
var errSignature = errors.New("signature does not verify")

// checkSignatures verifies the quote by its attestation key, that key by the quoting enclave's report, and the report by the platform's
// certificate, whose chain is known to be good.
func (v *Verifier) checkSignatures(q quote, now time.Time) error {
	if q.version == 4 {
		return verify.TdxQuote(q.QuoteV4, &verify.Options{Now: now, TrustedRoots: v.pool})
	}
	return q.checkSignatures()
}

func (q quote) checkSignatures() error {
	key := q.GetSignedData().GetEcdsaAttestationKey()
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, key...))
	if err != nil {
		return fmt.Errorf("attestation key: %w", err)
	}
	if !signedBy(public, q.signed, q.GetSignedData().GetSignature()) {
		return fmt.Errorf("quote: %w", errSignature)
	}
	qe := q.GetSignedData().GetCertificationData().GetQeReportCertificationData()
	report, err := abi.EnclaveReportToAbiBytes(qe.GetQeReport())
	if err != nil {
		return err
	}
	pck, ok := q.chain[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || pck.Curve != elliptic.P256() || !signedBy(pck, report, qe.GetQeReportSignature()) {
		return fmt.Errorf("quoting enclave's report: %w", errSignature)
	}
	hash := sha256.Sum256(append(bytes.Clone(key), qe.GetQeAuthData().GetData()...))
	if data := qe.GetQeReport().GetReportData(); !bytes.Equal(data, append(hash[:], make([]byte, 32)...)) {
		return errors.New("quoting enclave's report is about another attestation key")
	}
	return nil
}

// signedBy verifies a signature of 64 bytes, r then s.
func signedBy(key *ecdsa.PublicKey, message, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256(message)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// signerName is the subject of the certificate that signs Intel's answers.
const signerName = "Intel SGX TCB Signing"

// What Intel's answers say they are.
const (
	infoID, infoVersion         = "TDX", 3
	identityID, identityVersion = "TD_QE", 2
)

// word says whether Intel calls the platform up to date, in the versions at launch and in those of now: ErrCollateral when it is not
// Intel who says so or not about this platform, ErrTCBStatus.
func (a answers) word(q quote, extensions *pcs.PckExtensions, roots *x509.CertPool, now time.Time) error {
	if err := a.checkSigned(roots, now); err != nil {
		return fmt.Errorf("%w: %w", ErrCollateral, err)
	}
	if err := a.checkAbout(extensions); err != nil {
		return fmt.Errorf("%w: %w", ErrCollateral, err)
	}
	for _, svn := range [][]byte{q.GetTdQuoteBody().GetTeeTcbSvn(), q.now} {
		if svn == nil {
			continue
		}
		if status := a.status(svn, extensions); status != upToDate {
			return fmt.Errorf("%w: its word is %q", ErrTCBStatus, status)
		}
	}
	if err := a.checkParts(q); err != nil {
		return fmt.Errorf("%w: %w", ErrCollateral, err)
	}
	return nil
}

// checkSigned verifies both answers by their issuers, and these by a configured root.
func (a answers) checkSigned(roots *x509.CertPool, now time.Time) error {
	for i, s := range a.signed {
		signer := a.issuers[2*i]
		if signer.Subject.CommonName != signerName {
			return fmt.Errorf("issuer %q, want %q", signer.Subject.CommonName, signerName)
		}
		if _, err := signer.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			return err
		}
		key, ok := signer.PublicKey.(*ecdsa.PublicKey)
		if !ok || key.Curve != elliptic.P256() || !signedBy(key, s.message, s.signature) {
			return errSignature
		}
	}
	return nil
}

// checkAbout says whether the answers are of the kind that is read here, and about this platform.
func (a answers) checkAbout(extensions *pcs.PckExtensions) error {
	if a.info.ID != infoID || a.info.Version != infoVersion || a.identity.ID != identityID || a.identity.Version != identityVersion {
		return fmt.Errorf("answers of another kind: %q version %d, %q version %d", a.info.ID, a.info.Version, a.identity.ID, a.identity.Version)
	}
	if extensions.FMSPC != a.info.Fmspc || extensions.PCEID != a.info.PceID {
		return fmt.Errorf("TCB info is about %s and %s, the platform is %s and %s", a.info.Fmspc, a.info.PceID, extensions.FMSPC, extensions.PCEID)
	}
	return nil
}

// checkParts holds module and quoting enclave against what Intel says of them.
func (a answers) checkParts(q quote) error {
	td := q.GetTdQuoteBody()
	module := a.moduleOf(td.GetTeeTcbSvn()[1])
	if !bytes.Equal(module.Mrsigner.Bytes, td.GetMrSignerSeam()) || !masked(td.GetSeamAttributes(), module.AttributesMask, module.Attributes) {
		return errors.New("module is another one")
	}
	qe, id := q.GetSignedData().GetCertificationData().GetQeReportCertificationData().GetQeReport(), a.identity
	switch {
	case !bytes.Equal(id.Mrsigner.Bytes, qe.GetMrSigner()), qe.GetIsvProdId() != uint32(id.IsvProdID),
		!masked(qe.GetAttributes(), id.AttributesMask, id.Attributes),
		!masked(binary.LittleEndian.AppendUint32(nil, qe.GetMiscSelect()), id.MiscselectMask, id.Miscselect):
		return errors.New("quoting enclave is another one")
	}
	if status := isvStatus(id.TcbLevels, qe.GetIsvSvn()); status != upToDate {
		return fmt.Errorf("quoting enclave is called %q", status)
	}
	return nil
}

// masked says whether have has the wanted bits where the mask has ones.
func masked(have []byte, mask, want pcs.HexBytes) bool {
	if len(mask.Bytes) != len(have) || len(want.Bytes) != len(have) {
		return false
	}
	for i := range have {
		if have[i]&mask.Bytes[i] != want.Bytes[i] {
			return false
		}
	}
	return true
}
