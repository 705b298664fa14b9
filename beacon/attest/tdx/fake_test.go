package tdx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/pcs"
	pb "github.com/google/go-tdx-guest/proto/tdx"
	"github.com/google/go-tdx-guest/testing/testdata"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

const now int64 = 1_700_000_000_000_000_000

// maker plays Intel: a root, its platform CA and a signer of TCB info.
type maker struct {
	t                               testing.TB
	root, platform, signer          *x509.Certificate
	rootKey, platformKey, signerKey *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t testing.TB, name string, serial int64, parent *x509.Certificate, parentKey, key *ecdsa.PrivateKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Intel Corporation"}},
		NotBefore: time.Unix(0, now).AddDate(-1, 0, 0), NotAfter: time.Unix(0, now).AddDate(5, 0, 0), BasicConstraintsValid: true,
		SubjectKeyId: []byte(name), CRLDistributionPoints: []string{"https://example.invalid/root.crl"}}
	if change != nil {
		change(template)
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

func newMaker(t testing.TB) *maker {
	m := &maker{t: t, rootKey: newKey(t), platformKey: newKey(t), signerKey: newKey(t)}
	m.root = issue(t, names[2], 1, nil, m.rootKey, m.rootKey, authority)
	m.platform = issue(t, names[1], 2, m.root, m.rootKey, m.platformKey, authority)
	m.signer = issue(t, "Intel SGX TCB Signing", 3, m.root, m.rootKey, m.signerKey, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	return m
}

// genuineParts is the recorded quote by a real Sapphire Rapids processor, from which fakes take everything that is not to be changed.
func genuineParts(t testing.TB) (*pb.QuoteV4, []*x509.Certificate) {
	t.Helper()
	q, err := parse(trim(testdata.RawQuote))
	if err != nil {
		t.Fatal(err)
	}
	return q.QuoteV4, q.chain
}

// platform is a machine whose maker is this test.
type platform struct {
	*maker
	pck     *x509.Certificate
	pckKey  *ecdsa.PrivateKey
	akKey   *ecdsa.PrivateKey
	change  func(*pb.TDQuoteBody) // before signing
	changeQ func(*pb.QuoteV4)     // after signing
	after   func([]byte) []byte   // of the encoded quote

	firmware []Extend
	own      []Event

	five  uint16 // type of the report in a quote of version 5; 0: version 4
	extra []byte // end of a TDX 1.5 report
}

func newPlatform(m *maker, change func(*x509.Certificate)) *platform {
	m.t.Helper()
	_, chain := genuineParts(m.t)
	p := &platform{maker: m, pckKey: newKey(m.t), akKey: newKey(m.t)}
	p.pck = issue(m.t, names[0], 4, m.platform, m.platformKey, p.pckKey, func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
		for _, e := range chain[0].Extensions {
			if e.Id.Equal(pcs.OidSgxExtension) {
				c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: e.Id, Value: e.Value})
			}
		}
		if change != nil {
			change(c)
		}
	})
	return p
}

func sign(t testing.TB, key *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func pemOf(certificates ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certificates {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.Bytes()
}

func (p *platform) Platform() attest.Platform { return attest.TDX }

func (p *platform) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	q, err := p.quote(reportData)
	if err != nil {
		return nil, err
	}
	return canon.Marshal(body{Version: 1, Quote: q, Firmware: p.firmware, Own: p.own})
}

func (p *platform) quote(reportData [32]byte) ([]byte, error) {
	q, _ := genuineParts(p.t)
	q.TdQuoteBody.ReportData = append(reportData[:], make([]byte, 32)...)
	if p.change != nil {
		p.change(q.TdQuoteBody)
	}
	signed := q.SignedData
	signed.EcdsaAttestationKey = append(p.akKey.X.FillBytes(make([]byte, 32)), p.akKey.Y.FillBytes(make([]byte, 32))...)
	header, err := abi.HeaderToAbiBytes(q.Header)
	if err != nil {
		return nil, err
	}
	td, err := abi.TdQuoteBodyToAbiBytes(q.TdQuoteBody)
	if err != nil {
		return nil, err
	}
	front := p.front(header, td)
	signed.Signature = sign(p.t, p.akKey, front)
	qe := signed.CertificationData.QeReportCertificationData
	hash := sha256.Sum256(append(bytes.Clone(signed.EcdsaAttestationKey), qe.QeAuthData.Data...))
	qe.QeReport.ReportData = append(hash[:], make([]byte, 32)...)
	report, err := abi.EnclaveReportToAbiBytes(qe.QeReport)
	if err != nil {
		return nil, err
	}
	qe.QeReportSignature = sign(p.t, p.pckKey, report)
	chain := pemOf(p.pck, p.platform, p.root)
	qe.PckCertificateChainData.PckCertChain, qe.PckCertificateChainData.Size = chain, uint32(len(chain))
	signed.CertificationData.Size = uint32(384 + 64 + 2 + len(qe.QeAuthData.Data) + 6 + len(chain))
	q.SignedDataSize = 64 + 64 + 6 + signed.CertificationData.Size
	if p.changeQ != nil {
		p.changeQ(q)
	}
	out, err := abi.QuoteToAbiBytes(q)
	if p.five != 0 {
		out = append(p.front(out[:headerSize], out[headerSize:headerSize+bodySize]), out[headerSize+bodySize:]...)
	}
	if err == nil && p.after != nil {
		out = p.after(out)
	}
	return out, err
}

// front is what stands before the signature, and is signed.
func (p *platform) front(header, td []byte) []byte {
	if p.five == 0 {
		return slices.Concat(header, td)
	}
	out := slices.Concat(header, binary.LittleEndian.AppendUint16(nil, p.five), binary.LittleEndian.AppendUint32(nil, uint32(len(td)+len(p.extra))), td, p.extra)
	out[0] = 5
	return out
}

// reportTDX15 is the end of a TDX 1.5 report: the versions of the module that runs now, and a measurement of service domains.
func reportTDX15(now [16]byte, service byte) []byte {
	return append(now[:], bytes.Repeat([]byte{service}, 48)...)
}

func bytesHex(b byte, n int) string { return hex.EncodeToString(bytes.Repeat([]byte{b}, n)) }

// rawQuote is the recorded quote, with what the kernel's buffer had after it.
var rawQuote = testdata.RawQuote

// tcbInfo is collateral about the family of the genuine quote's processor.
type tcbInfo struct {
	status     string
	next       time.Time
	module     byte // minimum of the first component
	third      byte // minimum of the third
	modules    []map[string]any
	enclave    byte // what is wrong about the quoting enclave's identity; 0: nothing
	pceID      string
	byPlatform bool // signed by the platform's authority instead of the signer
	fmspc      string
	foreignKey bool
}

func goodInfo() tcbInfo {
	return tcbInfo{status: "UpToDate", next: time.Unix(0, now).AddDate(0, 0, 30), fmspc: "50806f000000", pceID: "0000"}
}

func (m *maker) collateral(i tcbInfo) Collateral {
	m.t.Helper()
	zeros := make([]map[string]int, 16)
	for j := range zeros {
		zeros[j] = map[string]int{"svn": 0}
	}
	module := append([]map[string]int{{"svn": int(i.module)}, zeros[1], {"svn": int(i.third)}}, zeros[3:]...)
	levels := []map[string]any{{"tcb": map[string]any{"sgxtcbcomponents": zeros, "pcesvn": 1, "tdxtcbcomponents": module}, "tcbStatus": i.status, "tcbDate": "2023-01-01T00:00:00Z"}}
	dates := func(x map[string]any) map[string]any {
		x["issueDate"], x["nextUpdate"] = time.Unix(0, now).AddDate(0, 0, -1).UTC().Format(time.RFC3339), i.next.UTC().Format(time.RFC3339)
		return x
	}
	info := dates(map[string]any{"id": "TDX", "version": 3, "fmspc": i.fmspc, "pceId": i.pceID, "tcbLevels": levels,
		"tdxModuleIdentities": i.modules, "tdxModule": map[string]any{"mrsigner": hex.EncodeToString(make([]byte, 48)), "attributes": "0000000000000000", "attributesMask": "ffffffffffffffff"}})
	q, _ := genuineParts(m.t)
	qe := q.SignedData.CertificationData.QeReportCertificationData.QeReport
	enclave := dates(map[string]any{"id": "TD_QE", "version": 2, "miscselect": "00000000", "miscselectMask": "ffffffff", "attributes": hex.EncodeToString(qe.Attributes),
		"attributesMask": "ffffffffffffffffffffffffffffffff", "mrsigner": hex.EncodeToString(qe.MrSigner), "isvprodid": qe.IsvProdId,
		"tcbLevels": []map[string]any{{"tcb": map[string]any{"isvsvn": 1}, "tcbStatus": "UpToDate"}}})
	switch i.enclave {
	case 1:
		enclave["mrsigner"] = bytesHex(1, 32)
	case 2:
		enclave["isvprodid"] = 9
	case 3:
		enclave["attributes"] = bytesHex(1, 16)
	case 4:
		enclave["miscselect"] = "01000000"
	case 5:
		enclave["tcbLevels"] = []map[string]any{{"tcb": map[string]any{"isvsvn": 1}, "tcbStatus": "OutOfDate"}}
	case 6:
		enclave["id"] = "QE"
	}
	key, signer := m.signerKey, m.signer
	if i.byPlatform {
		key, signer = m.platformKey, m.platform
	}
	if i.foreignKey {
		key = newKey(m.t)
	}
	answer := func(name string, v any) []byte {
		inner, err := json.Marshal(v)
		if err != nil {
			m.t.Fatal(err)
		}
		return fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, name, inner, sign(m.t, key, inner))
	}
	issuers := pemOf(signer, m.root)
	return Collateral{answer("tcbInfo", info), issuers, answer("enclaveIdentity", enclave), issuers}
}

func (m *maker) verifier(change func(*VerifierConfig)) *Verifier {
	m.t.Helper()
	c := VerifierConfig{Roots: []*x509.Certificate{m.root}, Collateral: []Collateral{m.collateral(goodInfo())}}
	if change != nil {
		change(&c)
	}
	v, err := NewVerifier(c)
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

func setAttributes(bits uint64) func(*pb.TDQuoteBody) {
	return func(b *pb.TDQuoteBody) {
		b.TdAttributes = binary.LittleEndian.AppendUint64(nil, binary.LittleEndian.Uint64(b.TdAttributes)|bits)
	}
}
