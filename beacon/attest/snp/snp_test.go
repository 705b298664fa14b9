package snp

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	sevtest "github.com/google/go-sev-guest/testing"
	"github.com/google/go-sev-guest/verify/testdata"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/beacon/attest/tsm"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// recorded is when the genuine evidence that the library ships is verified.
var recorded = time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)

const now int64 = 1_700_000_000_000_000_000

// chip is a processor whose maker is this test: it signs what AMD's would not.
type chip struct {
	t      testing.TB
	signer *sevtest.AmdSigner
	root   Root
	tcb    kds.TCBParts
	policy abi.SnpPolicy
	change func(report []byte) // before signing
	after  func(*body)
}

var (
	hwid    = bytes.Repeat([]byte{0xc1}, abi.ChipIDSize)
	goodTCB = kds.TCBParts{BlSpl: 3, SnpSpl: 8, UcodeSpl: 115}
)

func newChip(t testing.TB, product string, change func(*sevtest.AmdSignerBuilder)) *chip {
	t.Helper()
	made := time.Unix(0, now).AddDate(-1, 0, 0)
	b := &sevtest.AmdSignerBuilder{Keys: sevtest.DefaultAmdKeys(), ProductName: product + "-B1", ArkCreationTime: made, AskCreationTime: made,
		AsvkCreationTime: made, VcekCreationTime: made, VlekCreationTime: made, CSPID: "test"}
	b.VcekCustom.Extensions = kdsExtensions(goodTCB, hwid, product)
	if change != nil {
		change(b)
	}
	s, err := b.TestOnlyCertChain()
	if err != nil {
		t.Fatal(err)
	}
	return &chip{t: t, signer: s, root: Root{product, s.Ask, s.Ark}, tcb: goodTCB}
}

func (c *chip) verifier(change func(*VerifierConfig)) *Verifier {
	c.t.Helper()
	config := VerifierConfig{Roots: []Root{c.root}}
	if change != nil {
		change(&config)
	}
	v, err := NewVerifier(config)
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}

func (c *chip) Platform() attest.Platform { return attest.SEVSNP }

func (c *chip) Report(_ context.Context, reportData [32]byte) ([]byte, error) {
	made := sevtest.CreateRawReport(&sevtest.TestReportOptions{ReportData: reportData[:]})
	raw := made[:abi.ReportSize]
	tcb, err := kds.ComposeTCBParts(c.tcb)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint64(raw[0x08:], abi.SnpPolicyToBytes(c.policy))
	for _, at := range []int{0x38, 0x180, 0x1e0, 0x1f0} { // current, reported, committed, launch
		binary.LittleEndian.PutUint64(raw[at:], uint64(tcb))
	}
	copy(raw[0x90:], bytes.Repeat([]byte{0x4d}, 48))
	copy(raw[0x1a0:], hwid)
	if c.change != nil {
		c.change(raw)
	}
	r, s, err := c.signer.Sign(abi.SignedComponent(raw))
	if err != nil {
		return nil, err
	}
	if err := abi.SetSignature(r, s, raw); err != nil {
		return nil, err
	}
	b := body{1, raw, c.signer.Vcek.Raw}
	if c.after != nil {
		c.after(&b)
	}
	return canon.Marshal(b)
}

// kdsExtensions are those of a VCEK certificate.
func kdsExtensions(tcb kds.TCBParts, hwid []byte, product string) []pkix.Extension {
	return sevtest.CustomExtensions(tcb, hwid, "", product+"-B1")
}

func measurement() []byte { return bytes.Repeat([]byte{0x4d}, 48) }

func TestConforms(t *testing.T) {
	good := newChip(t, "Milan", nil)
	minimum, err := kds.ComposeTCBParts(goodTCB)
	if err != nil {
		t.Fatal(err)
	}
	old := goodTCB
	old.SnpSpl = 7
	attesttest.Run(t, attesttest.Fixture{Verifier: good.verifier(nil), NowUnixNS: now,
		Expect: directory.Expectation{Platform: "sev-snp", Measurements: [][]byte{measurement()}, MinTCB: uint64(minimum)},
		Attester: func(t *testing.T, v attesttest.Variation) (attest.Attester, string) {
			c := newChip(t, "Milan", func(b *sevtest.AmdSignerBuilder) {
				if v.ForeignRoot {
					b.Keys.Ark, b.Keys.Ask = rsaKey(t), rsaKey(t)
				}
				if v.LowTCB {
					b.VcekCustom.Extensions = kdsExtensions(old, hwid, "Milan")
				}
			})
			c.policy.Debug, c.policy.MigrateMA = v.Debug, v.Migratable
			switch {
			case v.ClockOffsetNS != 0:
				return nil, "a report carries no time"
			case v.LowTCB:
				c.tcb = old
			case v.OtherMeasurement:
				c.change = func(r []byte) { r[0x90] ^= 1 }
			}
			return c, ""
		}})
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Each way to be wrong, with its own name; the signature is good unless it is what is wrong.
func TestRefusals(t *testing.T) {
	plain := newChip(t, "Milan", nil)
	genoa := newChip(t, "Genoa", func(b *sevtest.AmdSignerBuilder) { b.Keys.Ark, b.Keys.Ask = rsaKey(t), rsaKey(t) })
	other := newChip(t, "Milan", func(b *sevtest.AmdSignerBuilder) {
		b.VcekCustom.Extensions = kdsExtensions(goodTCB, make([]byte, abi.ChipIDSize), "Milan")
	})
	le32, le64 := binary.LittleEndian.PutUint32, binary.LittleEndian.PutUint64
	years := func(n int) int64 { return time.Unix(0, now).AddDate(n, 0, 0).UnixNano() }
	for _, c := range []struct {
		name   string
		want   error
		at     int64
		change func(*chip)
		config func(*VerifierConfig)
	}{
		{"honest", nil, now, func(*chip) {}, nil},
		{"signed by a provider's key", ErrSigner, now, func(c *chip) { c.change = func(r []byte) { le32(r[0x48:], 1<<2) } }, nil},
		{"not signed", ErrSigner, now, func(c *chip) { c.after = func(b *body) { le32(b.Report[0x48:], 7<<2) } }, nil},
		{"wrong product root", attest.ErrWrongRoot, now, func(c *chip) {}, func(v *VerifierConfig) { v.Roots = []Root{genoa.root} }},
		{"AMD's real root", attest.ErrWrongRoot, now, func(c *chip) {}, func(v *VerifierConfig) { v.Roots = embedded(t, "Milan") }},
		{"certificate expired", attest.ErrCollateralExpired, years(8), func(*chip) {}, nil},
		{"certificate of the future", attest.ErrCollateralExpired, years(-3), func(*chip) {}, nil},
		{"flipped measurement", attest.ErrReportSignature, now, func(c *chip) { c.after = func(b *body) { b.Report[0x90] ^= 1 } }, nil},
		{"flipped signature", attest.ErrReportSignature, now, func(c *chip) { c.after = func(b *body) { b.Report[0x2a0] ^= 1 } }, nil},
		{"bytes after the signature", attest.ErrEvidence, now, func(c *chip) { c.after = func(b *body) { b.Report[len(b.Report)-1] = 1 } }, nil},
		{"report cut", attest.ErrEvidence, now, func(c *chip) { c.after = func(b *body) { b.Report = b.Report[1:] } }, nil},
		{"another chip's certificate", ErrChip, now, func(c *chip) { c.after = func(b *body) { b.VCEK = other.signer.Vcek.Raw } }, nil},
		{"chip masked", ErrChip, now, func(c *chip) { c.change = func(r []byte) { le32(r[0x48:], 2) } }, nil},
		{"no chip", ErrChip, now, func(c *chip) { c.change = func(r []byte) { clear(r[0x1a0:0x1e0]) } }, nil},
		{"certificate of another version", ErrVersion, now, func(c *chip) { c.tcb.SnpSpl++ }, nil},
		{"less privileged", ErrVMPL, now, func(c *chip) { c.change = func(r []byte) { le32(r[0x30:], 1) } }, nil},
		{"less privileged, allowed", nil, now, func(c *chip) { c.change = func(r []byte) { le32(r[0x30:], 1) } }, func(v *VerifierConfig) { v.MaxVMPL = 1 }},
		{"more report data", ErrReportData, now, func(c *chip) { c.change = func(r []byte) { r[0x50+63] = 1 } }, nil},
		{"unknown policy bits", attest.ErrEvidence, now, func(c *chip) { c.change = func(r []byte) { le64(r[0x08:], 1<<40|1<<17) } }, nil},
		{"no certificate", attest.ErrEvidence, now, func(c *chip) { c.after = func(b *body) { b.VCEK = nil } }, nil},
		{"version", attest.ErrVersion, now, func(c *chip) { c.after = func(b *body) { b.Version = 2 } }, nil},
	} {
		x := *plain
		c.change(&x)
		b, err := x.Report(context.Background(), [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.verifier(c.config).Verify(b, c.at); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func embedded(t testing.TB, products ...string) []Root {
	t.Helper()
	roots, err := EmbeddedRoots(products...)
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

func TestRevokedIntermediate(t *testing.T) {
	c := newChip(t, "Milan", nil)
	b, err := c.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	list := func(next time.Time, serials ...*big.Int) *x509.RevocationList {
		template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(0, now).AddDate(0, 0, -1), NextUpdate: next}
		for _, s := range serials {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: template.ThisUpdate})
		}
		ark := *c.signer.Ark
		ark.KeyUsage |= x509.KeyUsageCRLSign
		ark.SubjectKeyId = []byte{1}
		der, err := x509.CreateRevocationList(rand.Reader, template, &ark, c.signer.Keys.Ark)
		if err != nil {
			t.Fatal(err)
		}
		out, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	tomorrow, serial := time.Unix(0, now).AddDate(0, 0, 1), c.signer.Ask.SerialNumber
	root := *c.signer.Ark
	root.KeyUsage |= x509.KeyUsageCRLSign
	for name, x := range map[string]struct {
		list *x509.RevocationList
		want error
	}{
		"not listed": {list(tomorrow, new(big.Int).Add(serial, big.NewInt(77))), nil},
		"listed":     {list(tomorrow, serial), attest.ErrCertificateRevoked},
		"expired":    {list(time.Unix(0, now).Add(-time.Hour)), attest.ErrCollateralExpired},
	} {
		v := c.verifier(func(v *VerifierConfig) {
			v.Roots[0].ARK = &root
			v.CRLs = attest.CRLs{Lists: []*x509.RevocationList{x.list}, Required: true}
		})
		if _, err := v.Verify(b, now); !errors.Is(err, x.want) {
			t.Errorf("%s: got %v, want %v", name, err, x.want)
		}
	}
	if _, err := c.verifier(func(v *VerifierConfig) { v.CRLs.Required = true }).Verify(b, now); !errors.Is(err, attest.ErrNoCRL) {
		t.Error("no list:", err)
	}
}

// genuine is a report by a real AMD Milan processor, shipped by the library. Its guest was started in debug mode.
func genuine(t testing.TB) []byte {
	t.Helper()
	b, err := Encode(testdata.AttestationBytes, testdata.VcekBytes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGenuine: the signature of the recorded report is perfectly good, under AMD's real root; the machine is refused all the same,
// because its owner could look inside.
func TestGenuine(t *testing.T) {
	v, err := NewVerifier(VerifierConfig{Roots: embedded(t, "Milan")})
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Examine(genuine(t), recorded.UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	if !f.Claims.Debug || f.Product != "Milan" || f.Claims.Machine == [32]byte{} || len(f.Claims.Measurement) != 48 {
		t.Fatalf("%+v", f.Claims)
	}
	if err := attest.Judge(attest.SEVSNP, f.Claims, f.Claims.ReportData, everything(f.Claims), recorded.UnixNano()); !errors.Is(err, attest.ErrDebug) {
		t.Error("debug on:", err)
	}
	wrong, err := NewVerifier(VerifierConfig{Roots: embedded(t, "Genoa", "Turin")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Verify(genuine(t), recorded.UnixNano()); !errors.Is(err, attest.ErrWrongRoot) {
		t.Error("roots of other products:", err)
	}
	good := genuine(t)
	for i := 0; i < len(good); i += 5 {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := v.Verify(bad, recorded.UnixNano()); err == nil {
			t.Fatalf("byte %d of %d does not matter", i, len(good))
		}
	}
}

// everything is a policy that names what the claims say, so that only the other rules decide.
func everything(c attest.Claims) attest.Policy {
	return attest.Policy{Accept: []directory.Expectation{{Platform: "sev-snp", Measurements: [][]byte{c.Measurement}, MinTCB: c.TCB}}}
}

func TestConfig(t *testing.T) {
	milan := embedded(t, "Milan")
	for name, c := range map[string]VerifierConfig{"no roots": {}, "VMPL 4": {Roots: milan, MaxVMPL: 4},
		"unknown product": {Roots: []Root{{"Rome", milan[0].ASK, milan[0].ARK}}}, "half a root": {Roots: []Root{{Product: "Milan", ASK: milan[0].ASK}}}} {
		if _, err := NewVerifier(c); !errors.Is(err, ErrVerifier) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := EmbeddedRoots("Rome"); !errors.Is(err, ErrVerifier) {
		t.Error(err)
	}
}

func TestTCBIsComponentwise(t *testing.T) {
	c := newChip(t, "Milan", nil)
	c.change = func(r []byte) { r[0x1e0+6] = 1 } // the owner may roll the firmware back to this one
	b, err := c.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := c.verifier(nil).Verify(b, now); err != nil || claims.TCB != 0x7301000000000003 {
		t.Errorf("%016x %v", claims.TCB, err)
	}
	if got := lowest(0x0102030405060708, 0x0801070206030504); got != 0x0101030205030504 {
		t.Errorf("%016x", got)
	}
	if attest.TCBAtLeast(attest.SEVSNP, 0x7300000000000002, 0x7200000000000003) {
		t.Error("new microcode outweighs an old boot loader")
	}
	if !attest.TCBAtLeast(attest.SEVSNP, 0x7300000000000003, 0x7200000000000003) {
		t.Error("newer everywhere is too old")
	}
}

// kernel plays Linux's configfs with a report that is asked for, or with another provider.
func kernel(t *testing.T, provider string, aux []byte) configfsi.Client {
	t.Helper()
	c := newChip(t, "Milan", nil)
	s := faketsm.Report611(0)
	read := s.ReadAttr
	s.ReadAttr = func(e *faketsm.ReportEntry, attr string) ([]byte, error) {
		switch attr {
		case "provider":
			return []byte(provider + "\n"), nil
		case "auxblob":
			return aux, nil
		case "outblob":
			out, err := c.Report(context.Background(), [32]byte(e.InAttrs["inblob"].Value))
			if err != nil {
				return nil, err
			}
			b, _, err := decode(out)
			return b.Report, err
		}
		return read(e, attr)
	}
	return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": s}}
}

func TestMachine(t *testing.T) {
	c := newChip(t, "Milan", nil)
	table, err := c.signer.CertTableBytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		m    Machine
		want error
	}{
		"certificate from the host":  {Machine{Client: kernel(t, "sev_guest", table)}, nil},
		"certificate from a file":    {Machine{Client: kernel(t, "sev_guest", nil), VCEK: c.signer.Vcek.Raw}, nil},
		"no certificate":             {Machine{Client: kernel(t, "sev_guest", nil)}, ErrNoVCEK},
		"another kind of machine":    {Machine{Client: kernel(t, "tdx_guest", table)}, tsm.ErrProvider},
		"no confidential machine":    {Machine{}, tsm.ErrNone},
		"certificates are nonsense":  {Machine{Client: kernel(t, "sev_guest", []byte("nonsense"))}, ErrNoVCEK},
		"certificate of another key": {Machine{Client: kernel(t, "sev_guest", nil), VCEK: c.signer.Vlek.Raw}, attest.ErrWrongRoot},
	} {
		b, err := x.m.Report(context.Background(), [32]byte{1})
		if err == nil {
			var claims attest.Claims
			if claims, err = c.verifier(nil).Verify(b, now); err == nil && claims.ReportData != [32]byte{1} {
				t.Errorf("%s: %x", name, claims.ReportData)
			}
		}
		if !errors.Is(err, x.want) {
			t.Errorf("%s: got %v, want %v", name, err, x.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	v, err := NewVerifier(VerifierConfig{Roots: embedded(f, "Milan")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine(f))
	want, err := v.Verify(genuine(f), recorded.UnixNano())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := v.Verify(data, recorded.UnixNano()); err == nil && c.ReportData != want.ReportData {
			t.Fatal("forged")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	v, err := NewVerifier(VerifierConfig{Roots: embedded(b, "Milan")})
	if err != nil {
		b.Fatal(err)
	}
	data := genuine(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(data, recorded.UnixNano()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppraise(b *testing.B) {
	c := newChip(b, "Milan", nil)
	minimum, err := kds.ComposeTCBParts(goodTCB)
	if err != nil {
		b.Fatal(err)
	}
	attesttest.Benchmark(b, c.verifier(nil), c, directory.Expectation{Platform: "sev-snp", Measurements: [][]byte{measurement()}, MinTCB: uint64(minimum)}, now)
}
