package tpm

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/attesttest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

func TestConforms(t *testing.T) {
	maker := newAuthority(t, "maker")
	good := newPaper(t, maker)
	v := good.verifier(nil)
	f := examine(t, v, good)
	attesttest.Run(t, attesttest.Fixture{Verifier: v, NowUnixNS: now,
		Expect: directory.Expectation{Platform: "tpm", Measurements: [][]byte{f.Claims.Measurement}, MinTCB: 5},
		Attester: func(t *testing.T, v attesttest.Variation) (attest.Attester, string) {
			p := newPaper(t, maker)
			switch {
			case v.Debug:
				return nil, "a TPM has no debug mode: what runs beside it shows in its registers"
			case v.ClockOffsetNS != 0:
				return nil, "a TPM's clock does not know the hour"
			case v.Migratable:
				p.attributes.FixedTPM, p.attributes.FixedParent = false, false
			case v.OtherMeasurement:
				p.own[0].Data = []byte("build 2")
			case v.LowTCB:
				p.version = 4
			case v.ForeignRoot:
				p.chain = [][]byte{newAuthority(t, "another maker").endorse(t, 7, nil)}
			}
			return p, ""
		}})
}

func examine(t testing.TB, v *Verifier, p *paper) Findings {
	t.Helper()
	b, err := p.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	f, err := v.Examine(b, now)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Each way to be wrong, with its own name. Everything else of the evidence is right, and signed.
func TestRefusals(t *testing.T) {
	maker := newAuthority(t, "maker")
	other := newPaper(t, maker)
	extraBuild := Event{Type: EventBuild, Data: []byte("build 2")}
	cases := []struct {
		name string
		want error
		make func(*paper)
	}{
		{"honest", nil, func(*paper) {}},
		{"measured twice alike", nil, func(p *paper) { p.own = append(p.own, p.own[0]) }},
		{"unknown enroller", ErrUnknownEnroller, func(p *paper) { p.enroller = enrollerKey(p.t, 2) }},
		{"record of another version", ErrRecord, func(p *paper) { p.changeRecord = func(r *Record) { r.Version = 2 } }},
		{"record is nonsense", ErrRecord, func(p *paper) { p.changeBody = func(b *body) { b.Record = []byte{0xa0} } }},
		{"record flipped", ErrRecord, func(p *paper) { p.changeBody = func(b *body) { b.Record[len(b.Record)-40] ^= 1 } }},
		{"record expired", ErrRecordExpired, func(p *paper) { p.changeRecord = func(r *Record) { r.ExpiresUnixNS = now } }},
		{"record of ten years", ErrRecordExpired, func(p *paper) { p.changeRecord = func(r *Record) { r.ExpiresUnixNS = now + 10*int64(MaxEnrolment) } }},
		{"record of tomorrow", ErrRecordExpired, func(p *paper) { p.changeRecord = func(r *Record) { r.IssuedUnixNS = now + 86400e9 } }},
		{"another machine's certificate", ErrRecordChain, func(p *paper) { p.changeBody = func(b *body) { b.Chain = other.chain } }},
		{"another manufacturer", attest.ErrWrongRoot, func(p *paper) { p.chain = [][]byte{newAuthority(p.t, "maker").endorse(p.t, 7, nil)} }},
		{"certificate of a web server", ErrEKUsage, func(p *paper) {
			p.chain = [][]byte{maker.endorse(p.t, 7, func(c *x509.Certificate) {
				c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			})}
		}},
		{"certificate expired", attest.ErrCollateralExpired, func(p *paper) {
			p.chain = [][]byte{maker.endorse(p.t, 7, func(c *x509.Certificate) { c.NotAfter = time.Unix(0, now).AddDate(0, 0, -1) })}
		}},
		{"no certificate", attest.ErrEvidence, func(p *paper) {
			p.changeRecord = func(r *Record) { r.Chain = hashChain(nil) }
			p.changeBody = func(b *body) { b.Chain = nil }
		}},
		{"unrestricted AK", ErrAKAttributes, func(p *paper) { p.attributes.Restricted = false }},
		{"AK that decrypts", ErrAKAttributes, func(p *paper) { p.attributes.Decrypt = true }},
		{"imported AK", ErrAKAttributes, func(p *paper) { p.attributes.SensitiveDataOrigin = false }},
		{"AK on another curve", ErrAKAlgorithm, func(p *paper) {
			p.changeAK = func(a *tpm2.TPMTPublic) { parms, _ := a.Parameters.ECCDetail(); parms.CurveID = tpm2.TPMECCNistP384 }
		}},
		{"AK with SHA-1 names", ErrAKAlgorithm, func(p *paper) { p.changeAK = func(a *tpm2.TPMTPublic) { a.NameAlg = tpm2.TPMAlgSHA1 } }},
		{"AK off the curve", ErrAKAlgorithm, func(p *paper) {
			p.changeAK = func(a *tpm2.TPMTPublic) { point, _ := a.Unique.ECC(); point.X.Buffer = make([]byte, 32) }
		}},
		{"AK with a tail", attest.ErrEvidence, func(p *paper) { p.changeBody = func(b *body) { b.AK = append(b.AK, 0) } }},
		{"another AK", ErrAKName, func(p *paper) { p.changeBody = func(b *body) { b.AK = other.akPublic() } }},
		{"not made by a TPM", ErrMagic, func(p *paper) {
			p.changeSigned = func(b []byte) []byte { binary.BigEndian.PutUint32(b, 0xff544346); return b }
		}},
		{"nothing signed", ErrMagic, func(p *paper) { p.changeSigned = func([]byte) []byte { return nil } }},
		{"certify instead of quote", ErrNotQuote, func(p *paper) {
			p.changeSigned = func(b []byte) []byte {
				binary.BigEndian.PutUint16(b[4:], uint16(tpm2.TPMSTAttestCertify))
				return b
			}
		}},
		{"quote with a tail", ErrNotQuote, func(p *paper) { p.changeSigned = func(b []byte) []byte { return append(b, 0) } }},
		{"quote cut", ErrNotQuote, func(p *paper) { p.changeSigned = func(b []byte) []byte { return b[:len(b)-1] } }},
		{"signature flipped", attest.ErrReportSignature, func(p *paper) { p.changeBody = func(b *body) { b.S[31] ^= 1 } }},
		{"signature of zero", attest.ErrReportSignature, func(p *paper) { p.changeBody = func(b *body) { b.R, b.S = make([]byte, 32), make([]byte, 32) } }},
		{"no report data", ErrReportDataLength, func(p *paper) { p.changeQuote = func(q *tpm2.TPMSAttest) { q.ExtraData.Buffer = nil } }},
		{"SHA-1 bank", ErrPCRSelection, func(p *paper) {
			p.changeQuote = func(q *tpm2.TPMSAttest) {
				i, _ := q.Attested.Quote()
				i.PCRSelect.PCRSelections[0].Hash = tpm2.TPMAlgSHA1
			}
		}},
		{"lists more than it quotes", ErrPCRSelection, func(p *paper) {
			p.changeBody = func(b *body) { b.PCRs = append(b.PCRs, pcrValue{Index: 15}) }
		}},
		{"listed in disorder", ErrPCRSelection, func(p *paper) { p.changeBody = func(b *body) { b.PCRs[0], b.PCRs[1] = b.PCRs[1], b.PCRs[0] } }},
		{"a boot register missing", ErrPCRMissing, func(p *paper) { p.quoted = []uint{0, 2, 4, OwnPCR} }},
		{"our register missing", ErrPCRMissing, func(p *paper) { p.quoted = []uint{0, 1, 2, 3, 4, 5, 6, 7} }},
		{"other values", ErrPCRDigest, func(p *paper) { p.changeBody = func(b *body) { b.PCRs[0].Digest[0] ^= 1 } }},
		{"nothing measured the boot", ErrPCRUnused, func(p *paper) { p.firmware = nil }},
		{"an event left out", ErrLogReplay, func(p *paper) { p.changeBody = func(b *body) { b.Firmware = b.Firmware[1:] } }},
		{"an event of ours left out", ErrLogReplay, func(p *paper) {
			p.own = append(p.own, extraBuild)
			p.changeBody = func(b *body) { b.Own = b.Own[:1] }
		}},
		{"another locality", ErrLogReplay, func(p *paper) { p.changeBody = func(b *body) { b.Locality = 3 } }},
		{"impossible locality", ErrLogReplay, func(p *paper) { p.changeBody = func(b *body) { b.Locality = 300 } }},
		{"impossible register", ErrLogReplay, func(p *paper) { p.changeBody = func(b *body) { b.Firmware = []Extend{{PCR: 24}} } }},
		{"endless log", ErrLogTooLong, func(p *paper) { p.changeBody = func(b *body) { b.Firmware = make([]Extend, maxEvents+1) } }},
		{"two builds", ErrReconfigured, func(p *paper) { p.own = append(p.own, extraBuild) }},
		{"two configurations", ErrReconfigured, func(p *paper) {
			p.own = append(p.own, Event{Type: EventConfiguration, Data: []byte{1}}, Event{Type: EventConfiguration, Data: []byte{2}})
		}},
		{"no build", ErrNoBuild, func(p *paper) { p.own = []Event{{Type: EventConfiguration, Data: []byte{1}}} }},
		{"unknown event", ErrEventType, func(p *paper) { p.own = append(p.own, Event{Type: "greeting"}) }},
		{"version", attest.ErrVersion, func(p *paper) { p.changeBody = func(b *body) { b.Version = 2 } }},
	}
	for _, c := range cases {
		p := newPaper(t, maker)
		c.make(p)
		b, err := p.Report(context.Background(), [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.verifier(nil).Verify(b, now); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// The enroller looks at both keys before it makes a secret for them.
func TestApplicationRefused(t *testing.T) {
	maker := newAuthority(t, "maker")
	e := &Enroller{Key: enrollerKey(t, 1), Endorsement: Endorsement{Roots: []*x509.Certificate{maker.cert}}}
	for _, c := range []struct {
		name string
		want error
		make func(p *paper, a *application, ek *tpm2.TPMTPublic)
	}{
		{"honest", nil, func(*paper, *application, *tpm2.TPMTPublic) {}},
		{"another endorsement key", ErrEKMismatch, func(p *paper, a *application, _ *tpm2.TPMTPublic) { a.Chain = [][]byte{maker.endorse(p.t, 8, nil)} }},
		{"endorsement key that signs", ErrEKAttributes, func(_ *paper, _ *application, ek *tpm2.TPMTPublic) { ek.ObjectAttributes.SignEncrypt = true }},
		{"endorsement key that moves", ErrEKAttributes, func(_ *paper, _ *application, ek *tpm2.TPMTPublic) { ek.ObjectAttributes.FixedTPM = false }},
		{"unrestricted attestation key", ErrAKAttributes, func(p *paper, a *application, _ *tpm2.TPMTPublic) {
			p.attributes.Restricted = false
			a.AK = p.akPublic()
		}},
		{"attestation key that moves", ErrAKMovable, func(p *paper, a *application, _ *tpm2.TPMTPublic) { p.attributes.FixedTPM = false; a.AK = p.akPublic() }},
		{"another manufacturer", attest.ErrWrongRoot, func(p *paper, a *application, _ *tpm2.TPMTPublic) {
			a.Chain = [][]byte{newAuthority(p.t, "maker").endorse(p.t, 7, nil)}
		}},
		{"version", ErrApplication, func(_ *paper, a *application, _ *tpm2.TPMTPublic) { a.Version = 2 }},
	} {
		p, key := newPaper(t, maker), newKey(t)
		ek := tpm2.ECCEKTemplate
		ek.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: key.X.FillBytes(make([]byte, 32))},
			Y: tpm2.TPM2BECCParameter{Buffer: key.Y.FillBytes(make([]byte, 32))}})
		a := application{Version: 1, Chain: [][]byte{maker.endorseKey(t, 7, &key.PublicKey, nil)}, AK: p.akPublic()}
		c.make(p, &a, &ek)
		a.EK = tpm2.Marshal(ek)
		encoded, err := canon.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.Challenge(encoded, rand.Reader, time.Unix(0, now)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if _, _, err := e.Challenge([]byte{0xa0}, rand.Reader, time.Unix(0, now)); !errors.Is(err, ErrApplication) {
		t.Error("nonsense:", err)
	}
}

func (a *authority) crl(t testing.TB, signer *authority, next time.Time, serials ...int64) *x509.RevocationList {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(0, now).AddDate(0, 0, -7), NextUpdate: next}
	for _, s := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: template.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRevokedEndorsement(t *testing.T) {
	maker := newAuthority(t, "maker")
	p := newPaper(t, maker)
	b, err := p.Report(context.Background(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	tomorrow := time.Unix(0, now).AddDate(0, 0, 1)
	for name, c := range map[string]struct {
		crls attest.CRLs
		want error
	}{
		"not listed":       {attest.CRLs{Lists: []*x509.RevocationList{maker.crl(t, maker, tomorrow, 8)}, Required: true}, nil},
		"listed":           {attest.CRLs{Lists: []*x509.RevocationList{maker.crl(t, maker, tomorrow, 8, 7)}}, attest.ErrCertificateRevoked},
		"list expired":     {attest.CRLs{Lists: []*x509.RevocationList{maker.crl(t, maker, time.Unix(0, now).Add(-time.Second))}}, attest.ErrCollateralExpired},
		"list of none":     {attest.CRLs{Required: true}, attest.ErrNoCRL},
		"list of another":  {attest.CRLs{Lists: []*x509.RevocationList{newAuthority(t, "x").crl(t, newAuthority(t, "x"), tomorrow)}, Required: true}, attest.ErrNoCRL},
		"list by another":  {attest.CRLs{Lists: []*x509.RevocationList{newAuthority(t, "maker").crl(t, newAuthority(t, "maker"), tomorrow)}}, attest.ErrCRL},
		"list of tomorrow": {attest.CRLs{Lists: []*x509.RevocationList{maker.crl(t, maker, tomorrow)}, Required: true}, nil},
	} {
		v := p.verifier(func(v *VerifierConfig) { v.Endorsement.CRLs = c.crls })
		if _, err := v.Verify(b, now); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestClockGoesForward(t *testing.T) {
	at := func(resets, restarts uint32, ms uint64, safe bool) Clock {
		return Clock{Milliseconds: ms, Resets: resets, Restarts: restarts, Safe: safe}
	}
	for _, c := range []struct {
		name          string
		before, after Clock
		ok            bool
	}{
		{"same moment", at(3, 0, 1000, true), at(3, 0, 1000, true), true},
		{"later", at(3, 0, 1000, true), at(3, 0, 1001, true), true},
		{"earlier", at(3, 0, 1000, true), at(3, 0, 999, true), false},
		{"resumed", at(3, 0, 1000, true), at(3, 1, 1000, true), true},
		{"resume undone", at(3, 1, 1000, true), at(3, 0, 2000, true), false},
		{"rebooted", at(3, 1, 1000, true), at(4, 0, 2000, true), true},
		{"power cut: the clock lost a little and says so", at(3, 0, 1000, true), at(4, 0, 900, false), true},
		{"power cut, but sure", at(3, 0, 1000, true), at(4, 0, 900, true), false},
		{"snapshot restored", at(4, 0, 1000, true), at(3, 0, 2000, true), false},
	} {
		p := newPaper(t, newAuthority(t, "maker"))
		v := p.verifier(func(v *VerifierConfig) { v.History = &Clocks{} })
		for i, clock := range []Clock{c.before, c.after} {
			p.clock = tpm2.TPMSClockInfo{Clock: clock.Milliseconds, ResetCount: clock.Resets, RestartCount: clock.Restarts, Safe: tpm2.TPMIYesNo(clock.Safe)}
			b, err := p.Report(context.Background(), [32]byte{1})
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(b, now)
			if refused := errors.Is(err, ErrClockBack); refused != (i == 1 && !c.ok) || err != nil && !refused {
				t.Errorf("%s, step %d: %v", c.name, i, err)
			}
		}
	}
}

func TestVerifierConfig(t *testing.T) {
	maker := newAuthority(t, "maker")
	good := VerifierConfig{Enrollers: []identity.Public{enrollerKey(t, 1).Public()}, Endorsement: Endorsement{Roots: []*x509.Certificate{maker.cert}}}
	gate, err := identity.FromSeed(identity.RoleGate, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*VerifierConfig){
		"nobody enrols": func(c *VerifierConfig) { c.Enrollers = nil }, "a gate enrols": func(c *VerifierConfig) { c.Enrollers = []identity.Public{gate.Public()} },
		"no manufacturer": func(c *VerifierConfig) { c.Endorsement.Roots = nil }, "no boot": func(c *VerifierConfig) { c.BootPCRs = []int{} },
		"our register as boot": func(c *VerifierConfig) { c.BootPCRs = []int{0, OwnPCR} }, "negative": func(c *VerifierConfig) { c.BootPCRs = []int{-1} },
	} {
		c := good
		change(&c)
		if _, err := NewVerifier(c); !errors.Is(err, ErrVerifier) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	maker := newAuthority(f, "maker")
	p := newPaper(f, maker)
	v := p.verifier(nil)
	b, err := p.Report(context.Background(), [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(p.akPublic())
	f.Fuzz(func(t *testing.T, data []byte) {
		if claims, err := v.Verify(data, now); err == nil && claims.ReportData != [32]byte{1} {
			t.Fatal("forged")
		}
		_, _ = parseAK(data)
		_, _ = openQuote(body{Quote: data}, &p.ak.PublicKey)
	})
}

func BenchmarkVerify(b *testing.B) {
	maker := newAuthority(b, "maker")
	p := newPaper(b, maker)
	v := p.verifier(nil)
	data, err := p.Report(context.Background(), [32]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ReportMetric(float64(len(data)), "bytes")
	for b.Loop() {
		if _, err := v.Verify(data, now); err != nil {
			b.Fatal(err)
		}
	}
}
