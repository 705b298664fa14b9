package tdx

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"github.com/google/go-tdx-guest/abi"
	pb "github.com/google/go-tdx-guest/proto/tdx"
	tdxtest "github.com/google/go-tdx-guest/testing"
	"github.com/google/go-tdx-guest/testing/testdata"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/beacon/attest/tsm"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// recorded is when the genuine evidence that the library ships is verified: its collateral was in force then.
var recorded = time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC)

func TestConforms(t *testing.T) {
	for _, name := range []string{"version 4", "version 5, TDX 1.5, telling"} {
		t.Run(name, func(t *testing.T) {
			conforms(t, func(p *platform) *platform { layouts[name](p); return p })
		})
	}
}

func conforms(t *testing.T, layout func(*platform) *platform) {
	t.Helper()
	m := newMaker(t)
	v := m.verifier(nil)
	good := layout(newPlatform(m, nil))
	report, err := good.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := v.Verify(report, now)
	if err != nil {
		t.Fatal(err)
	}
	attesttest.Run(t, attesttest.Fixture{Verifier: v, NowUnixNS: now,
		Expect: directory.Expectation{Platform: "tdx", Measurements: [][]byte{claims.Measurement}, MinTCB: claims.TCB},
		Attester: func(t *testing.T, v attesttest.Variation) (attest.Attester, string) {
			p := *good
			switch {
			case v.ClockOffsetNS != 0:
				return nil, "a quote carries no time"
			case v.Debug:
				p.change = setAttributes(1)
			case v.Migratable:
				p.change = setAttributes(1 << 29)
			case v.OtherMeasurement:
				p.change = func(b *pb.TDQuoteBody) { b.Rtmrs[2] = bytes.Repeat([]byte{1}, 48) }
			case v.LowTCB:
				p.change = func(b *pb.TDQuoteBody) { b.TeeTcbSvn[0]-- }
			case v.ForeignRoot:
				return layout(newPlatform(newMaker(t), nil)), ""
			}
			return &p, ""
		}})
}

// Each way to be wrong, with its own name; signatures are good unless they are what is wrong.
func TestRefusals(t *testing.T) {
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) { refusals(t, layout) })
	}
}

func refusals(t *testing.T, layout func(*platform)) {
	t.Helper()
	m := newMaker(t)
	plain, other := newPlatform(m, nil), newPlatform(m, nil)
	qe := func(q *pb.QuoteV4) *pb.QEReportCertificationData {
		return q.SignedData.CertificationData.QeReportCertificationData
	}
	with := func(change func(*tcbInfo)) func(*VerifierConfig) {
		i := goodInfo()
		change(&i)
		return func(v *VerifierConfig) { v.Collateral = []Collateral{m.collateral(i)} }
	}
	none := func(*platform) {}
	years := func(n int) int64 { return time.Unix(0, now).AddDate(n, 0, 0).UnixNano() }
	for _, c := range []struct {
		name   string
		want   error
		at     int64
		make   func(*platform)
		config func(*VerifierConfig)
	}{
		{"honest", nil, now, none, nil},
		{"Intel's real root", attest.ErrWrongRoot, now, none, func(v *VerifierConfig) { v.Roots = []*x509.Certificate{intel(t)} }},
		{"certificates expired", attest.ErrCollateralExpired, years(6), none, nil},
		{"certificates of the future", attest.ErrCollateralExpired, years(-2), none, nil},
		{"another's certificate", attest.ErrReportSignature, now, func(p *platform) { p.pck = other.pck }, nil},
		{"certificate of another name", ErrCertificate, now, func(p *platform) { *p = *newPlatform(m, func(c *x509.Certificate) { c.Subject.CommonName = "x" }) }, nil},
		{"certificate without platform", ErrCertificate, now, func(p *platform) { *p = *newPlatform(m, func(c *x509.Certificate) { c.ExtraExtensions = nil }) }, nil},
		{"flipped measurement", attest.ErrReportSignature, now, func(p *platform) { p.changeQ = func(q *pb.QuoteV4) { q.TdQuoteBody.MrTd[0] ^= 1 } }, nil},
		{"flipped signature", attest.ErrReportSignature, now, func(p *platform) { p.changeQ = func(q *pb.QuoteV4) { q.SignedData.Signature[0] ^= 1 } }, nil},
		{"flipped enclave report", attest.ErrReportSignature, now, func(p *platform) { p.changeQ = func(q *pb.QuoteV4) { qe(q).QeReport.IsvSvn++ } }, nil},
		{"another attestation key", attest.ErrReportSignature, now, func(p *platform) {
			p.changeQ = func(q *pb.QuoteV4) { copy(q.SignedData.EcdsaAttestationKey, other.akKey.X.FillBytes(make([]byte, 32))) }
		}, nil},
		{"module of somebody else", ErrModule, now, func(p *platform) { p.change = func(b *pb.TDQuoteBody) { b.MrSignerSeam[0] = 1 } }, nil},
		{"module in debug", ErrModule, now, func(p *platform) { p.change = func(b *pb.TDQuoteBody) { b.SeamAttributes[0] = 1 } }, nil},
		{"no TCB info", ErrNoCollateral, now, none, func(v *VerifierConfig) { v.Collateral = nil }},
		{"no TCB info, accepted", nil, now, none, func(v *VerifierConfig) { v.Collateral, v.WithoutTCBInfo = nil, true }},
		{"TCB info of another family", ErrNoCollateral, now, none, with(func(i *tcbInfo) { i.fmspc = "00906ed50000" })},
		{"TCB info expired", attest.ErrCollateralExpired, now, none, with(func(i *tcbInfo) { i.next = time.Unix(0, now).Add(-time.Hour) })},
		{"out of date", ErrTCBStatus, now, none, with(func(i *tcbInfo) { i.status = "OutOfDate" })},
		{"needs configuration", ErrTCBStatus, now, none, with(func(i *tcbInfo) { i.status = "ConfigurationNeeded" })},
		{"below all levels", ErrTCBStatus, now, none, with(func(i *tcbInfo) { i.module = 9 })},
		{"TCB info by another", ErrCollateral, now, none, with(func(i *tcbInfo) { i.foreignKey = true })},
		{"more report data", ErrReportData, now, func(p *platform) { p.change = func(b *pb.TDQuoteBody) { b.ReportData[63] = 1 } }, nil},
		{"version 3", ErrQuoteVersion, now, func(p *platform) {
			p.after = func(q []byte) []byte { binary.LittleEndian.PutUint16(q, 3); return q }
		}, nil},
		{"version 6", ErrQuoteVersion, now, func(p *platform) {
			p.after = func(q []byte) []byte { binary.LittleEndian.PutUint16(q, 6); return q }
		}, nil},
		{"an SGX quote", attest.ErrEvidence, now, func(p *platform) { p.after = func(q []byte) []byte { q[4] = 0; return q } }, nil},
		{"cut", attest.ErrEvidence, now, func(p *platform) { p.after = func(q []byte) []byte { return q[:len(q)-1] } }, nil},
		{"a blank for a newline in PEM", attest.ErrEvidence, now, func(p *platform) {
			p.after = func(q []byte) []byte { q[bytes.LastIndexByte(q[:len(q)-60], '\n')] = ' '; return q }
		}, nil},
		{"a tail", attest.ErrEvidence, now, func(p *platform) { p.after = func(q []byte) []byte { return append(q, 0) } }, nil},
	} {
		p := *plain
		c.make(&p)
		layout(&p)
		b, err := p.Report(context.Background(), [32]byte{1})
		if err != nil {
			t.Fatal(c.name, err)
		}
		if _, err := m.verifier(c.config).Verify(b, c.at); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func intel(t testing.TB) *x509.Certificate {
	t.Helper()
	root, err := IntelRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestRevokedPlatform(t *testing.T) {
	m := newMaker(t)
	b, err := newPlatform(m, nil).Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	list := func(serials ...int64) *x509.RevocationList {
		template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(0, now).AddDate(0, 0, -1), NextUpdate: time.Unix(0, now).AddDate(0, 0, 1)}
		for _, s := range serials {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: template.ThisUpdate})
		}
		issuer, key := m.platform, m.platformKey
		if len(serials) > 0 && serials[0] < 4 {
			issuer, key = m.root, m.rootKey
		}
		der, err := x509.CreateRevocationList(rand.Reader, template, issuer, key)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, c := range map[string]struct {
		list *x509.RevocationList
		want error
	}{"platform": {list(4), attest.ErrCertificateRevoked}, "platform CA": {list(2), attest.ErrCertificateRevoked},
		"TCB signer": {list(3), attest.ErrCertificateRevoked}, "another": {list(5), nil}} {
		v := m.verifier(func(v *VerifierConfig) { v.CRLs.Lists = []*x509.RevocationList{c.list} })
		if _, err := v.Verify(b, now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func genuine(t testing.TB) []byte {
	t.Helper()
	b, err := Encode(testdata.RawQuote)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recordedCollateral is genuine too, but about another platform.
func recordedCollateral() Collateral {
	issuers := func(header map[string][]string, name string) []byte {
		text, _ := url.QueryUnescape(header[name][0])
		return []byte(text)
	}
	return Collateral{testdata.TcbInfoBody, issuers(tdxtest.TcbInfoHeader, "Tcb-Info-Issuer-Chain"),
		testdata.QeIdentityBody, issuers(tdxtest.QeIdentityHeader, "Sgx-Enclave-Identity-Issuer-Chain")}
}

// TestGenuine: a quote by a real Sapphire Rapids processor verifies under Intel's real root, to the last bit; the recorded TCB info is
// expired today and was, in its time, of no help to this platform.
func TestGenuine(t *testing.T) {
	root := []*x509.Certificate{intel(t)}
	v, err := NewVerifier(VerifierConfig{Roots: root, WithoutTCBInfo: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(genuine(t), recorded.UnixNano()); !errors.Is(err, ErrReportData) { // whoever recorded it filled all 64 bytes
		t.Fatal(err)
	}
	if _, err := v.Verify(genuine(t), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()); !errors.Is(err, attest.ErrCollateralExpired) {
		t.Error("certificate expired:", err)
	}
	with, err := NewVerifier(VerifierConfig{Roots: root, Collateral: []Collateral{recordedCollateral()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := with.Verify(genuine(t), recorded.UnixNano()); !errors.Is(err, ErrTCBStatus) {
		t.Error("TCB info about better platforms:", err)
	}
	if _, err := with.Verify(genuine(t), recorded.AddDate(1, 0, 0).UnixNano()); !errors.Is(err, attest.ErrCollateralExpired) {
		t.Error("TCB info expired:", err)
	}
	good := genuine(t)
	for i := 0; i < len(good); i += 5 {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := v.Verify(bad, recorded.UnixNano()); errors.Is(err, ErrReportData) || err == nil {
			t.Fatalf("byte %d of %d does not matter", i, len(good))
		}
	}
}

func TestConfig(t *testing.T) {
	m := newMaker(t)
	good := m.collateral(goodInfo())
	broken := func(change func(*Collateral)) []Collateral { c := good; change(&c); return []Collateral{c} }
	root := []*x509.Certificate{m.root}
	for name, c := range map[string]VerifierConfig{"no root": {}, "twice": {Roots: root, Collateral: []Collateral{good, good}},
		"no info":     {Roots: root, Collateral: broken(func(c *Collateral) { c.TCBInfo = nil })},
		"no family":   {Roots: root, Collateral: broken(func(c *Collateral) { c.TCBInfo = []byte("{}") })},
		"no identity": {Roots: root, Collateral: broken(func(c *Collateral) { c.QEIdentity = []byte("x") })},
		"no issuers":  {Roots: root, Collateral: broken(func(c *Collateral) { c.QEIdentityIssuers = nil })}} {
		if _, err := NewVerifier(c); !errors.Is(err, ErrVerifier) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMachine(t *testing.T) {
	m := newMaker(t)
	p := newPlatform(m, nil)
	kernel := func(provider string) configfsi.Client {
		s := faketsm.Report611(0)
		read := s.ReadAttr
		s.ReadAttr = func(e *faketsm.ReportEntry, attr string) ([]byte, error) {
			switch attr {
			case "provider":
				return []byte(provider + "\n"), nil
			case "outblob":
				q, err := p.quote([32]byte(e.InAttrs["inblob"].Value))
				return append(q, make([]byte, 100)...), err
			}
			return read(e, attr)
		}
		return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": s}}
	}
	b, err := (&Machine{Client: kernel("tdx_guest")}).Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := m.verifier(nil).Verify(b, now); err != nil || c.ReportData != [32]byte{1} {
		t.Fatal(err)
	}
	if _, err := (&Machine{Client: kernel("sev_guest")}).Report(context.Background(), [32]byte{1}); !errors.Is(err, tsm.ErrProvider) {
		t.Error(err)
	}
	if _, err := (&Machine{}).Report(context.Background(), [32]byte{1}); !errors.Is(err, tsm.ErrNone) {
		t.Error(err)
	}
}

// FuzzVerify: sizes inside a quote must not lead the library out of bounds.
func FuzzVerify(f *testing.F) {
	v, err := NewVerifier(VerifierConfig{Roots: []*x509.Certificate{intel(f)}, WithoutTCBInfo: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(trim(testdata.RawQuote))
	f.Add(testdata.RawQuote[:abi.QuoteMinSize])
	for _, layout := range layouts {
		p := newPlatform(newMaker(f), nil)
		layout(p)
		q, err := p.quote([32]byte{1})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Encode(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(b, recorded.UnixNano()); err == nil {
			t.Fatal("forged")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	m := newMaker(b)
	v := m.verifier(nil)
	data, err := newPlatform(m, nil).Report(context.Background(), [32]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(data, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppraise(b *testing.B) {
	m := newMaker(b)
	p := newPlatform(m, nil)
	report, err := p.Report(context.Background(), [32]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	claims, err := m.verifier(nil).Verify(report, now)
	if err != nil {
		b.Fatal(err)
	}
	attesttest.Benchmark(b, m.verifier(nil), p, directory.Expectation{Platform: "tdx", Measurements: [][]byte{claims.Measurement}, MinTCB: claims.TCB}, now)
}
