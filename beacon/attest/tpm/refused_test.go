package tpm

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// court is an appraiser with everything that it judges by, and somebody who relies on it. A row of the table changes one thing.
type court struct {
	t         *testing.T
	maker     *authority
	appraiser *identity.Private
	root      *identity.Private // of the simulated platform
	accept    []directory.Expectation
	crls      attest.CRLs
	revoked   *attest.Revocations
	audience  string
	now       int64 // of the relying side
	beacon    *identity.Private
	nonce     [32]byte
}

func newCourt(t *testing.T) *court {
	t.Helper()
	c := &court{t: t, maker: newAuthority(t, "maker"), appraiser: enrollerKey(t, 1), audience: "demo", now: now, nonce: [32]byte{9}}
	var err error
	if c.root, err = identity.FromSeed(identity.RoleSimRoot, [32]byte{3}); err != nil {
		t.Fatal(err)
	}
	if c.beacon, err = identity.FromSeed(identity.RoleBeacon, [32]byte{4}); err != nil {
		t.Fatal(err)
	}
	f := examine(t, newPaper(t, c.maker).verifier(nil), newPaper(t, c.maker))
	sim := []byte("simulated build")
	c.accept = []directory.Expectation{{Platform: "tpm", Measurements: [][]byte{f.Claims.Measurement}, MinTCB: 5},
		{Platform: "sim+tpm", Measurements: [][]byte{attest.LinkedMeasurement(sim, f.Claims.Measurement)}}}
	return c
}

func (c *court) sim() attest.SimMachine {
	return attest.SimMachine{Root: c.root, Measurement: []byte("simulated build"), TCB: 1, Machine: [32]byte{7}, NowUnixNS: func() int64 { return now }}
}

func (c *court) verifiers() []attest.Verifier {
	c.t.Helper()
	sim, err := attest.NewSimVerifier(c.root.Public())
	if err != nil {
		c.t.Fatal(err)
	}
	own := newPaper(c.t, c.maker).verifier(func(v *VerifierConfig) { v.Endorsement.CRLs = c.crls })
	return []attest.Verifier{sim, own, attest.LinkedVerifier{Host: sim, Guest: own}}
}

// collect makes evidence of a machine for the beacon and the court's nonce.
func (c *court) collect(a attest.Attester) []byte {
	c.t.Helper()
	e, err := attest.Collect(context.Background(), a, attest.Binding{Subject: c.beacon.ID(), Nonce: c.nonce})
	if err != nil {
		c.t.Fatal(err)
	}
	return e
}

func (c *court) appraise(evidence []byte) ([]byte, error) {
	c.t.Helper()
	a, err := attest.NewAppraiser(attest.AppraiserConfig{Key: c.appraiser, Audience: "demo", Verifiers: c.verifiers(), Policy: attest.Policy{Accept: c.accept}})
	if err != nil {
		c.t.Fatal(err)
	}
	if c.revoked != nil {
		if err := a.SetRevocations(c.revoked); err != nil {
			c.t.Fatal(err)
		}
	}
	return a.Appraise(evidence, attest.Want{Subject: c.beacon.ID(), Nonce: [32]byte{9}, NowUnixNS: now})
}

// directory lists the beacon and the appraiser.
func (c *court) directory() *directory.Directory {
	c.t.Helper()
	signer, err := identity.FromSeed(identity.RoleDirectory, [32]byte{5})
	if err != nil {
		c.t.Fatal(err)
	}
	d := &directory.Directory{Epoch: 1, IssuedUnixNS: now, ExpiresUnixNS: now + 1e15, Appraisers: []identity.Public{c.appraiser.Public()},
		Beacons: []directory.Beacon{{Key: c.beacon.Public(), Place: "x", Position: earth.LatLon{Lat: 50, Lon: 8}.ECEF(0).Millimetres(), PosUncMM: 1, Domains: []string{"a"},
			Address: "host:1", Attest: c.accept[:1], NotBeforeUnixNS: now, ExpiresUnixNS: now + 1e15}}}
	signed, err := directory.Sign(d, signer)
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := directory.Verify(signed, []identity.Public{signer.Public()}, 1, now)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// rely goes the whole road: appraise, then inspect result and evidence as a core does before it is timed.
func (c *court) rely(appraised, shown []byte) error {
	c.t.Helper()
	result, err := c.appraise(appraised)
	if err != nil {
		return err
	}
	x, err := attest.NewExaminer(false, c.verifiers()...)
	if err != nil {
		c.t.Fatal(err)
	}
	i := attest.Inspector{Examiner: x, Relying: attest.Relying{Directory: c.directory(), Audience: c.audience}}
	_, err = i.Inspect(c.beacon.ID(), attest.Policy{Accept: c.accept}, result, shown, [32]byte{9}, c.now)
	return err
}

// mixed is a pair in which the quote of one machine stands beside the report of another: each half good for the wanted key and nonce.
type mixed struct{ report, quote attest.Linked }

func (m mixed) Platform() attest.Platform { return m.report.Platform() }

func (m mixed) Report(ctx context.Context, reportData [32]byte) ([]byte, error) {
	one, err := m.report.Report(ctx, reportData)
	if err != nil {
		return nil, err
	}
	two, err := m.quote.Report(ctx, reportData)
	if err != nil {
		return nil, err
	}
	var a, b attest.LinkedBody
	if err := errors.Join(canon.Unmarshal(one, &a, attest.MaxEvidenceSize), canon.Unmarshal(two, &b, attest.MaxEvidenceSize)); err != nil {
		return nil, err
	}
	a.Guest = b.Guest
	return canon.Marshal(a)
}

func (p *paper) Credential() ([32]byte, error) { return attest.Credential(p.akPublic()), nil }

func (p *paper) change(f func(*paper)) *paper { f(p); return p }

// TestEveryRefusalHasItsName is the list of what must be refused, each for its own reason: no other check of the list may be the one
// that speaks. Every machine is genuine but for the one thing.
func TestEveryRefusalHasItsName(t *testing.T) {
	rows := []struct {
		name string
		want error
		run  func(c *court) error
	}{
		{"nothing wrong", nil, func(c *court) error { e := c.collect(newPaper(c.t, c.maker)); return c.rely(e, e) }},
		{"a pair of kinds, nothing wrong", nil, func(c *court) error {
			e := c.collect(attest.Linked{Host: c.sim(), Guest: newPaper(c.t, c.maker)})
			return c.rely(e, e)
		}},
		{"flipped bit", attest.ErrReportSignature, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.changeBody = func(b *body) { b.S[31] ^= 1 } })))
			return err
		}},
		{"another key's report data", attest.ErrReportData, func(c *court) error {
			b, err := newPaper(c.t, c.maker).Report(context.Background(), attest.Binding{Subject: identity.ID{1}, Nonce: c.nonce}.ReportData())
			if err != nil {
				return err
			}
			e, err := attest.EncodeEvidence(attest.Evidence{Version: attest.Version, Platform: attest.TPM, Subject: c.beacon.ID(), Nonce: c.nonce, Body: b})
			if err != nil {
				return err
			}
			_, err = c.appraise(e)
			return err
		}},
		{"old nonce", attest.ErrNonce, func(c *court) error {
			c.nonce = [32]byte{8}
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker)))
			return err
		}},
		{"debug on", attest.ErrDebug, func(c *court) error {
			m := c.sim()
			m.Debug = true
			_, err := c.appraise(c.collect(attest.Linked{Host: m, Guest: newPaper(c.t, c.maker)}))
			return err
		}},
		{"migratable", attest.ErrMigratable, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.attributes.FixedTPM, p.attributes.FixedParent = false, false })))
			return err
		}},
		{"security version below the minimum", attest.ErrTCB, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.version = 4 })))
			return err
		}},
		{"reference values of another build", attest.ErrMeasurement, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.own[0].Data = []byte("build 2") })))
			return err
		}},
		{"certificate revoked by its maker", attest.ErrCertificateRevoked, func(c *court) error {
			c.crls = attest.CRLs{Lists: []*x509.RevocationList{c.maker.crl(c.t, c.maker, time.Unix(0, now).AddDate(0, 0, 1), 7)}}
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker)))
			return err
		}},
		{"attestation key revoked by the keepers", attest.ErrCredentialRevoked, func(c *court) error {
			p := newPaper(c.t, c.maker)
			key, _ := p.Credential()
			c.revoked = &attest.Revocations{Version: 1, Sequence: 1, IssuedUnixNS: now, ExpiresUnixNS: now + 1e9, Credentials: [][32]byte{key}}
			_, err := c.appraise(c.collect(p))
			return err
		}},
		{"certificate revoked by the keepers", attest.ErrCredentialRevoked, func(c *court) error {
			p := newPaper(c.t, c.maker)
			c.revoked = &attest.Revocations{Version: 1, Sequence: 1, IssuedUnixNS: now, ExpiresUnixNS: now + 1e9, Credentials: [][32]byte{attest.Credential(p.chain[0])}}
			_, err := c.appraise(c.collect(p))
			return err
		}},
		{"revocation list past its date", attest.ErrRevocationsStale, func(c *court) error {
			c.revoked = &attest.Revocations{Version: 1, Sequence: 1, IssuedUnixNS: now - 2e9, ExpiresUnixNS: now - 1e9}
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker)))
			return err
		}},
		{"expired collateral", attest.ErrCollateralExpired, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) {
				p.chain = [][]byte{c.maker.endorse(p.t, 7, func(x *x509.Certificate) { x.NotAfter = time.Unix(0, now).AddDate(0, 0, -1) })}
			})))
			return err
		}},
		{"wrong product root", attest.ErrWrongRoot, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.chain = [][]byte{newAuthority(p.t, "maker").endorse(p.t, 7, nil)} })))
			return err
		}},
		{"unrestricted attestation key", ErrAKAttributes, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.attributes.Restricted = false })))
			return err
		}},
		{"missing register", ErrPCRMissing, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.quoted = []uint{0, 2, 4, OwnPCR} })))
			return err
		}},
		{"log that does not replay", ErrLogReplay, func(c *court) error {
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker).change(func(p *paper) { p.changeBody = func(b *body) { b.Firmware = b.Firmware[1:] } })))
			return err
		}},
		{"sim in production", attest.ErrSim, func(c *court) error { _, err := c.appraise(c.collect(c.sim())); return err }},
		{"platform that nobody named", attest.ErrPlatform, func(c *court) error {
			c.accept = c.accept[1:]
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker)))
			return err
		}},
		{"two kinds of evidence, of two machines", attest.ErrNotLinked, func(c *court) error {
			one := attest.Linked{Host: c.sim(), Guest: newPaper(c.t, c.maker)}
			other := attest.Linked{Host: c.sim(), Guest: newPaper(c.t, c.maker)}
			_, err := c.appraise(c.collect(mixed{one, other}))
			return err
		}},
		{"evidence of another machine than the result", attest.ErrMixed, func(c *court) error {
			return c.rely(c.collect(newPaper(c.t, c.maker)), c.collect(newPaper(c.t, c.maker)))
		}},
		{"machine that the directory does not name", attest.ErrMachine, func(c *court) error {
			c.accept[0].Machines = [][32]byte{{1}}
			_, err := c.appraise(c.collect(newPaper(c.t, c.maker)))
			return err
		}},
		{"no evidence beside the result", attest.ErrNoEvidence, func(c *court) error { return c.rely(c.collect(newPaper(c.t, c.maker)), nil) }},
		{"result past its expiry", attest.ErrResultExpired, func(c *court) error {
			c.now += int64(attest.MaxResultTTL)
			e := c.collect(newPaper(c.t, c.maker))
			return c.rely(e, e)
		}},
		{"result for another audience", attest.ErrAudience, func(c *court) error {
			c.audience = "prod"
			e := c.collect(newPaper(c.t, c.maker))
			return c.rely(e, e)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			err := row.run(newCourt(t))
			if !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
				t.Fatalf("got %v, want %v", err, row.want)
			}
			for _, other := range rows {
				if other.want != nil && other.want != row.want && errors.Is(err, other.want) {
					t.Errorf("%v is also %v", err, other.want)
				}
			}
		})
	}
}
