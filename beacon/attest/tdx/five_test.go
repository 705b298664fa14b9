package tdx

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/pcs"
	pb "github.com/google/go-tdx-guest/proto/tdx"
	"github.com/google/go-tdx-guest/verify"

	"github.com/ursa-virtual/ursa/beacon/attest"
)

// sameAsAtLaunch are the genuine quote's security versions.
var sameAsAtLaunch = func() (svn [16]byte) {
	q, err := parse(trim(rawQuote))
	if err != nil {
		panic(err)
	}
	copy(svn[:], q.GetTdQuoteBody().GetTeeTcbSvn())
	return svn
}()

// layouts are the ways in which a quote may be written.
var layouts = map[string]func(*platform){
	"version 4":                   func(*platform) {},
	"version 5, TDX 1.0":          func(p *platform) { p.five = typeTDX10 },
	"version 5, TDX 1.5":          func(p *platform) { p.five, p.extra = typeTDX15, make([]byte, extraSize) },
	"version 5, TDX 1.5, telling": func(p *platform) { p.five, p.extra = typeTDX15, reportTDX15(sameAsAtLaunch, 0) },
}

func claimsBy(t *testing.T, p platform, v *Verifier, layout func(*platform)) attest.Claims {
	t.Helper()
	layout(&p)
	report, err := p.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Verify(report, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// One machine is the same in every layout, but for what only a TDX 1.5 report tells.
func TestLayoutsSayTheSame(t *testing.T) {
	m := newMaker(t)
	p, v := newPlatform(m, nil), m.verifier(nil)
	four := claimsBy(t, *p, v, layouts["version 4"])
	for name, layout := range layouts {
		if c := claimsBy(t, *p, v, layout); !bytes.Equal(c.Measurement, four.Measurement) || c.Machine != four.Machine || c.TCB != four.TCB || c.ReportData != four.ReportData ||
			len(c.Credentials) != len(four.Credentials) {
			t.Errorf("%s: %+v, want %+v", name, c, four)
		}
	}
	newer, older := sameAsAtLaunch, sameAsAtLaunch
	newer[0]++
	older[2]--
	with := func(now [16]byte, service byte) attest.Claims {
		return claimsBy(t, *p, v, func(p *platform) { p.five, p.extra = typeTDX15, reportTDX15(now, service) })
	}
	if c := with(newer, 0); c.TCB != four.TCB {
		t.Errorf("a newer module under a machine of before: %x, want that at launch %x", c.TCB, four.TCB)
	}
	if c := with(older, 0); c.TCB != four.TCB-1<<16 {
		t.Errorf("an older module: %x, want less than %x", c.TCB, four.TCB)
	}
	if c := with(sameAsAtLaunch, 7); bytes.Equal(c.Measurement, four.Measurement) || bytes.Equal(c.Measurement, with(sameAsAtLaunch, 8).Measurement) {
		t.Error("a service domain is not measured")
	}
	// The program's own measurement covers service domains, too.
	p.own = []Event{{Type: EventBuild, Data: []byte("build 1")}}
	p.change = func(b *pb.TDQuoteBody) {
		r, err := replay(nil, p.own)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r {
			b.Rtmrs[i] = r[i][:]
		}
	}
	if bytes.Equal(with(sameAsAtLaunch, 0).Measurement, with(sameAsAtLaunch, 7).Measurement) {
		t.Error("a service domain beside a measured program is not measured")
	}
}

// What is wrong in version 5 only.
func TestRefusalsOfVersionFive(t *testing.T) {
	m := newMaker(t)
	plain := newPlatform(m, nil)
	low := sameAsAtLaunch
	low[2] = 0
	needs := goodInfo()
	needs.third = 1
	for _, c := range []struct {
		name string
		want error
		make func(*platform)
	}{
		{"honest", nil, func(*platform) {}},
		{"an enclave's report", ErrQuoteVersion, func(p *platform) { p.five = 1 }},
		{"a report of a type to come", ErrQuoteVersion, func(p *platform) { p.five = 4 }},
		{"a TDX 1.0 report with a tail", attest.ErrEvidence, func(p *platform) { p.five = typeTDX10 }},
		{"a TDX 1.5 report without its end", attest.ErrEvidence, func(p *platform) { p.extra = nil }},
		{"type changed after signing", attest.ErrEvidence, func(p *platform) {
			p.after = func(q []byte) []byte { binary.LittleEndian.PutUint16(q[headerSize:], typeTDX10); return q }
		}},
		{"turned into version 4", attest.ErrReportSignature, func(p *platform) {
			p.after = func(q []byte) []byte {
				return append(append([]byte{4}, q[1:headerSize]...), append(q[headerSize+descriptorSize:][:bodySize:bodySize], q[headerSize+descriptorSize+bodySize+extraSize:]...)...)
			}
		}},
		{"service domain changed after signing", attest.ErrReportSignature, func(p *platform) {
			p.after = func(q []byte) []byte { q[headerSize+descriptorSize+bodySize+16] ^= 1; return q }
		}},
		{"security version changed after signing", attest.ErrReportSignature, func(p *platform) {
			p.after = func(q []byte) []byte { q[headerSize+descriptorSize+bodySize] ^= 1; return q }
		}},
		{"module of now below all levels", ErrTCBStatus, func(p *platform) { p.extra = reportTDX15(low, 0) }},
		{"more report data", ErrReportData, func(p *platform) { p.change = func(b *pb.TDQuoteBody) { b.ReportData[63] = 1 } }},
		{"cut in the descriptor", attest.ErrEvidence, func(p *platform) { p.after = func(q []byte) []byte { return q[:headerSize+3] } }},
		{"cut in the report", attest.ErrEvidence, func(p *platform) { p.after = func(q []byte) []byte { return q[:headerSize+600] } }},
	} {
		p := *plain
		p.five, p.extra = typeTDX15, reportTDX15(sameAsAtLaunch, 0)
		c.make(&p)
		b, err := p.Report(context.Background(), [32]byte{1})
		if err != nil {
			t.Fatal(c.name, err)
		}
		v := m.verifier(func(v *VerifierConfig) { v.Collateral = []Collateral{m.collateral(needs)} })
		if _, err := v.Verify(b, now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// Every bit of a quote of version 5 counts.
func TestFlipsOfVersionFive(t *testing.T) {
	m := newMaker(t)
	p, v := newPlatform(m, nil), m.verifier(nil)
	p.five, p.extra = typeTDX15, reportTDX15(sameAsAtLaunch, 7)
	good, err := p.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(good, now); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 3 {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := v.Verify(bad, now); err == nil {
			t.Fatalf("byte %d of %d does not matter", i, len(good))
		}
	}
}

// module is what Intel says of one version of the module.
func module(id, status string, least int, signer byte) map[string]any {
	return map[string]any{"id": id, "mrsigner": bytesHex(signer, 48), "attributes": bytesHex(0, 8), "attributesMask": bytesHex(0xff, 8),
		"tcbLevels": []map[string]any{{"tcb": map[string]any{"isvsvn": least}, "tcbStatus": status}, {"tcb": map[string]any{"isvsvn": 0}, "tcbStatus": "OutOfDate"}}}
}

// What Intel says about a platform whose quote is of version 5.
func TestWordAboutVersionFive(t *testing.T) {
	m := newMaker(t)
	for _, c := range []struct {
		name   string
		want   error
		change func(*tcbInfo)
	}{
		{"up to date", nil, func(*tcbInfo) {}},
		{"signed by another key", ErrCollateral, func(i *tcbInfo) { i.foreignKey = true }},
		{"signed by another of the root's", ErrCollateral, func(i *tcbInfo) { i.byPlatform = true }},
		{"expired", attest.ErrCollateralExpired, func(i *tcbInfo) { i.next = time.Unix(0, now).Add(-time.Hour) }},
		{"about another provisioning enclave", ErrCollateral, func(i *tcbInfo) { i.pceID = "0001" }},
		{"platform needs configuration", ErrTCBStatus, func(i *tcbInfo) { i.status = "ConfigurationNeeded" }},
		{"another signer of the enclave", ErrCollateral, func(i *tcbInfo) { i.enclave = 1 }},
		{"another product than the enclave", ErrCollateral, func(i *tcbInfo) { i.enclave = 2 }},
		{"other attributes of the enclave", ErrCollateral, func(i *tcbInfo) { i.enclave = 3 }},
		{"other features of the enclave", ErrCollateral, func(i *tcbInfo) { i.enclave = 4 }},
		{"enclave out of date", ErrCollateral, func(i *tcbInfo) { i.enclave = 5 }},
		{"identity of another kind of enclave", ErrCollateral, func(i *tcbInfo) { i.enclave = 6 }},
		{"nothing about the module", ErrTCBStatus, func(i *tcbInfo) { i.modules = nil }},
		{"about another module", ErrTCBStatus, func(i *tcbInfo) { i.modules = []map[string]any{module("TDX_02", "UpToDate", 0, 0)} }},
		{"module out of date", ErrTCBStatus, func(i *tcbInfo) { i.modules = []map[string]any{module("TDX_01", "OutOfDate", 0, 0)} }},
		{"module older than that", ErrTCBStatus, func(i *tcbInfo) { i.modules = []map[string]any{module("TDX_01", "UpToDate", 9, 0)} }},
		{"another signer of the module", ErrCollateral, func(i *tcbInfo) { i.modules = []map[string]any{module("TDX_01", "UpToDate", 0, 1)} }},
	} {
		p, i := newPlatform(m, nil), goodInfo()
		p.change = func(b *pb.TDQuoteBody) { b.TeeTcbSvn[1] = 1 }
		layouts["version 5, TDX 1.5"](p)
		i.modules = []map[string]any{module("TDX_01", "UpToDate", 0, 0)}
		c.change(&i)
		b, err := p.Report(context.Background(), [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		v := m.verifier(func(v *VerifierConfig) { v.Collateral = []Collateral{m.collateral(i)} })
		if _, err := v.Verify(b, now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// The checks of our own and the library's say the same of quotes of version 4, which both read, whatever is wrong with quote or collateral.
func TestSameAsTheLibrary(t *testing.T) {
	m := newMaker(t)
	p, other := newPlatform(m, nil), newMaker(t)
	statuses := []string{"UpToDate", "UpToDate", "UpToDate", "UpToDate", "UpToDate", "UpToDate", "SWHardeningNeeded", "OutOfDate"}
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 1))
	pick := func(n int) bool { return r.IntN(n) == 0 }
	agreed := map[bool]int{}
	for range 150 {
		q := *p
		version := byte(r.IntN(3))
		q.change = func(b *pb.TDQuoteBody) {
			b.TeeTcbSvn[1] = version
			b.TeeTcbSvn[0] = byte(3 + r.IntN(3))
		}
		if pick(8) {
			q.changeQ = func(x *pb.QuoteV4) { flip(r, x) }
		}
		raw, err := q.quote([32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parse(raw)
		if err != nil {
			continue
		}
		i := goodInfo()
		i.status, i.module, i.third = statuses[r.IntN(len(statuses))], byte(r.IntN(4)), byte(r.IntN(6))
		i.modules = []map[string]any{module("TDX_01", statuses[r.IntN(len(statuses))], r.IntN(5), 0)}
		i.foreignKey, i.byPlatform = pick(10), pick(10)
		maker := m
		if pick(10) {
			maker = other
		}
		if pick(12) {
			i.fmspc = "00906ed50000"
		}
		i.enclave = byte(max(0, r.IntN(18)-11)) // now and then one thing about the quoting enclave
		a, err := parseCollateral(maker.collateral(i))
		if err != nil {
			t.Fatal(err)
		}
		pool := m.verifier(nil).pool
		extensions, err := pcs.PckCertificateExtensions(parsed.chain[0])
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(0, now)
		theirs := verify.TdxQuote(parsed.QuoteV4, &verify.Options{GetCollateral: true, Getter: a, Now: at, TrustedRoots: pool})
		ours := errors.Join(parsed.checkSignatures(), a.word(parsed, extensions, pool, at))
		if (ours == nil) != (theirs == nil) {
			t.Fatalf("seed %d: ours %v, the library's %v", seed, ours, theirs)
		}
		agreed[ours == nil]++
	}
	if agreed[true] < 10 || agreed[false] < 10 {
		t.Errorf("seed %d: %v: nothing to compare", seed, agreed)
	}
}

// flip changes one bit of what is signed or signs.
func flip(r *rand.Rand, x *pb.QuoteV4) {
	qe := x.SignedData.CertificationData.QeReportCertificationData
	fields := [][]byte{x.TdQuoteBody.MrTd, x.TdQuoteBody.ReportData, x.SignedData.Signature, x.SignedData.EcdsaAttestationKey, qe.QeReport.MrEnclave, qe.QeReport.ReportData,
		qe.QeReportSignature, qe.QeAuthData.Data}
	field := fields[r.IntN(len(fields))]
	field[r.IntN(len(field))] ^= 1 << r.IntN(8)
}

func TestKernelOfVersionFive(t *testing.T) {
	p := newPlatform(newMaker(t), nil)
	for name, layout := range layouts {
		layout(p)
		q, err := p.quote([32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		if got := trim(append(bytes.Clone(q), make([]byte, 100)...)); !bytes.Equal(got, q) {
			t.Errorf("%s: %d bytes of %d", name, len(got), len(q))
		}
		p.five, p.extra = 0, nil
	}
}
