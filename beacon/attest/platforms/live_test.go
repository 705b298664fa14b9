package platforms_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/platforms"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpm"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm/swtpmtest"
	"github.com/ursa-virtual/ursa/beacon/exchange"
	"github.com/ursa-virtual/ursa/beacon/prober"
	"github.com/ursa-virtual/ursa/beacon/server"
	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

func key(t testing.TB, role identity.Role, n byte) *identity.Private {
	t.Helper()
	k, err := identity.FromSeed(role, [32]byte{n, 0x4c})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// host is a machine with a software TPM, booted, enrolled and measured.
type host struct {
	*tpm.Machine
	dir, address string
	claims       attest.Claims
}

var configuration = attest.Configuration{ClockSource: "tsc", PositionMM: [3]int64{1, 2, 3}, PosUncMM: 50_000}

// plant makes hosts with TPMs of one manufacturer.
type plant struct {
	t         *testing.T
	maker     swtpm.Authority
	root      *x509.Certificate
	issuer    []byte
	appraiser *identity.Private
}

func newPlant(t *testing.T) *plant {
	swtpmtest.Need(t)
	a, err := swtpm.NewAuthority(swtpmtest.ShortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	return &plant{t: t, maker: a, appraiser: key(t, identity.RoleAppraiser, 1)}
}

func (p *plant) enroller() *tpm.Enroller {
	return &tpm.Enroller{Key: p.appraiser, Endorsement: tpm.Endorsement{Roots: []*x509.Certificate{p.root}}}
}

func (p *plant) host() *host {
	t := p.t
	t.Helper()
	h := &host{dir: swtpmtest.ShortDir(t)}
	if err := p.maker.Manufacture(t.Context(), h.dir); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.root, p.issuer, err = p.maker.Certificates(); err != nil {
		t.Fatal(err)
	}
	h.address, _ = swtpmtest.Start(t, h.dir, false)
	if err := swtpm.Boot(h.address, h.log(), 1); err != nil {
		t.Fatal(err)
	}
	h.Machine = p.open(h, nil)
	encoded, err := configuration.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []tpm.Event{{Type: tpm.EventBuild, Data: []byte("build 1")}, {Type: tpm.EventConfiguration, Data: encoded}} {
		if err := h.Measure(e); err != nil {
			t.Fatal(err)
		}
	}
	application, err := h.Apply()
	if err != nil {
		t.Fatal(err)
	}
	challenge, pending, err := p.enroller().Challenge(application, rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := h.Activate(challenge)
	if err != nil {
		t.Fatal(err)
	}
	record, err := p.enroller().Finish(pending, secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h.SetRecord(record)
	if err := os.WriteFile(filepath.Join(h.dir, "record"), record, 0o600); err != nil {
		t.Fatal(err)
	}
	body, err := h.Report(t.Context(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	v, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{p.appraiser.Public()}, Endorsement: p.enroller().Endorsement})
	if err != nil {
		t.Fatal(err)
	}
	if h.claims, err = v.Verify(body, time.Now().UnixNano()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) log() string { return filepath.Join(h.dir, "firmware.log") }

// open is another way to the host's TPM, quoting only some registers; nil: all.
func (p *plant) open(h *host, registers []int) *tpm.Machine {
	p.t.Helper()
	record, _ := os.ReadFile(filepath.Join(h.dir, "record")) // not there before enrolment
	m, err := tpm.Open(tpm.Config{Address: h.address, FirmwareLog: h.log(), Issuers: [][]byte{p.issuer}, PCRs: registers, OwnLog: filepath.Join(h.dir, "own"), Record: record})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = m.Close() })
	return m
}

func (h *host) expectation() directory.Expectation {
	return directory.Expectation{Platform: "tpm", Measurements: [][]byte{attest.Configured(h.claims.Measurement, h.claims.Configuration)}, MinTCB: h.claims.TCB}
}

// show is the honest way to answer a question for evidence.
func show(a attest.Attester, subject identity.ID) func(context.Context, [32]byte) ([]byte, error) {
	return func(ctx context.Context, nonce [32]byte) ([]byte, error) {
		return attest.Collect(ctx, a, attest.Binding{Subject: subject, Nonce: nonce})
	}
}

// scene is a beacon over loopback with a result about it, and a core. A row of the table changes one thing of it.
type scene struct {
	*plant
	host     *host
	beacon   *identity.Private
	expect   directory.Expectation
	result   func() []byte // the beacon's
	evidence func(context.Context, [32]byte) ([]byte, error)
	audience string        // of the core
	later    time.Duration // by which the core's clock is ahead, when it judges
	revoked  *attest.Revocations
}

func (p *plant) scene(h *host) *scene {
	s := &scene{plant: p, host: h, beacon: key(p.t, identity.RoleBeacon, 1), expect: h.expectation(), audience: "live"}
	s.evidence = show(p.open(h, nil), s.beacon.ID())
	result := s.appraise(p.open(h, nil), h.expectation())
	s.result = func() []byte { return result }
	return s
}

// appraise is the appraiser's word about a machine.
func (s *scene) appraise(a attest.Attester, accept directory.Expectation) []byte {
	s.t.Helper()
	v, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: []identity.Public{s.appraiser.Public()}, Endorsement: s.enroller().Endorsement})
	if err != nil {
		s.t.Fatal(err)
	}
	sim, err := attest.NewSimVerifier(key(s.t, identity.RoleSimRoot, 1).Public())
	if err != nil {
		s.t.Fatal(err)
	}
	x, err := attest.NewAppraiser(attest.AppraiserConfig{Key: s.appraiser, Audience: "live", Policy: attest.Policy{Accept: []directory.Expectation{accept}},
		Verifiers: []attest.Verifier{v, sim}})
	if err != nil {
		s.t.Fatal(err)
	}
	nonce := [32]byte{7}
	evidence, err := attest.Collect(s.t.Context(), a, attest.Binding{Subject: s.beacon.ID(), Nonce: nonce})
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := x.Appraise(evidence, attest.Want{Subject: s.beacon.ID(), Nonce: nonce, NowUnixNS: time.Now().UnixNano()})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// directory lists the beacon at an address.
func (s *scene) directory(address string) *directory.Directory {
	s.t.Helper()
	signer, now := key(s.t, identity.RoleDirectory, 1), time.Now()
	from, to := now.Add(-time.Hour).UnixNano(), now.Add(24*time.Hour).UnixNano()
	d := &directory.Directory{Epoch: 1, IssuedUnixNS: from, ExpiresUnixNS: to, Gates: []identity.Public{key(s.t, identity.RoleGate, 1).Public()},
		Appraisers: []identity.Public{s.appraiser.Public()}, AttestRoots: []directory.AttestRoot{{Platform: "tpm", Key: s.root.Raw}},
		Beacons: []directory.Beacon{{Key: s.beacon.Public(), Place: "Here", Position: earth.LatLon{Lat: 50, Lon: 8}.ECEF(0).Millimetres(), PosUncMM: 50_000,
			Domains: []string{"a"}, Address: address, Attest: []directory.Expectation{s.expect}, NotBeforeUnixNS: from, ExpiresUnixNS: to}}}
	d.Sort()
	signed, err := directory.Sign(d, signer)
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := directory.Verify(signed, []identity.Public{signer.Public()}, 1, now.UnixNano())
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func udp(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask lets a core ask the beacon: what it got, and the phases it went through.
func (s *scene) ask(t *testing.T) (prober.Outcome, []prober.Phase) {
	t.Helper()
	conn := udp(t)
	d := s.directory(conn.LocalAddr().String())
	srv, err := server.New(server.Config{Key: s.beacon, Directory: d, Attestation: s.result(), Evidence: s.evidence})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, conn) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	core := key(t, identity.RoleCore, 1)
	envelope, err := statement.Challenge{Core: core.ID(), NonceG: [32]byte{1}, PolicyHash: [32]byte{2}, DirectoryEpoch: d.Epoch, DirectoryHash: d.Hash(),
		Committee: []identity.ID{s.beacon.ID()}, IssuedUnixNS: time.Now().UnixNano(), TTLNS: int64(5 * time.Minute), RoundsMin: 8, RoundsMax: 64}.Seal(key(t, identity.RoleGate, 1))
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	timed, err := identity.NewTimedKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var phases []prober.Phase
	out, err := prober.Run(t.Context(), prober.Config{Key: core, TimedKey: timed, Directory: d, Conn: udp(t), Attestation: []byte("core result"), Timeout: time.Minute,
		Appraise: s.inspector(d), Progress: func(e prober.Event) {
			if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
				phases = append(phases, e.Phase)
			}
		}}, challenge)
	if err != nil {
		t.Fatal(err)
	}
	return out, phases
}

// inspector is what a core makes of the directory alone.
func (s *scene) inspector(d *directory.Directory) func(context.Context, prober.Presented) error {
	s.t.Helper()
	verifiers, err := platforms.Verifiers(d, platforms.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	x, err := attest.NewExaminer(false, verifiers...)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.revoked != nil {
		if err := x.SetRevocations(s.revoked); err != nil {
			s.t.Fatal(err)
		}
	}
	i := attest.Inspector{Examiner: x, Relying: attest.Relying{Directory: d, Audience: s.audience}}
	return func(_ context.Context, p prober.Presented) error {
		_, err := i.Inspect(p.Beacon.ID(), attest.PolicyOf(p.Beacon), p.Result, p.Evidence, p.Nonce, time.Now().Add(s.later).UnixNano())
		return err
	}
}

// wireBody is a TPM's evidence as another program would read it.
type wireBody struct {
	Version  uint64       `cbor:"1,keyasint"`
	Record   []byte       `cbor:"2,keyasint"`
	Chain    [][]byte     `cbor:"3,keyasint"`
	AK       []byte       `cbor:"4,keyasint"`
	Quote    []byte       `cbor:"5,keyasint"`
	R        []byte       `cbor:"6,keyasint"`
	S        []byte       `cbor:"7,keyasint"`
	PCRs     []wirePCR    `cbor:"8,keyasint"`
	Locality uint64       `cbor:"9,keyasint"`
	Firmware []tpm.Extend `cbor:"10,keyasint"`
	Own      []tpm.Event  `cbor:"11,keyasint"`
}

type wirePCR struct {
	_      struct{} `cbor:",toarray"`
	Index  uint8
	Digest [32]byte
}

// forge changes what an honest machine collected.
func (s *scene) forge(change func(*wireBody)) {
	honest := s.evidence
	s.evidence = func(ctx context.Context, nonce [32]byte) ([]byte, error) {
		encoded, err := honest(ctx, nonce)
		if err != nil {
			return nil, err
		}
		e, err := attest.DecodeEvidence(encoded)
		if err != nil {
			return nil, err
		}
		var b wireBody
		if err := canon.Unmarshal(e.Body, &b, tpm.MaxBodySize); err != nil {
			return nil, err
		}
		change(&b)
		if e.Body, err = canon.Marshal(b); err != nil {
			return nil, err
		}
		return attest.EncodeEvidence(e)
	}
}

// freeKey makes a signing key in the TPM that is not restricted: it would sign anything.
func freeKey(t *testing.T, address string) []byte {
	t.Helper()
	template := tpm2.ECCSRKTemplate
	template.ObjectAttributes = tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true}
	template.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256,
		Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})}})
	out, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(template)}.Execute(wire(address))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (tpm2.FlushContext{FlushHandle: out.ObjectHandle}).Execute(wire(address)); err != nil {
		t.Fatal(err)
	}
	return out.OutPublic.Bytes()
}

// wire speaks to a TPM over a connection for each command.
type wire string

func (w wire) Send(command []byte) ([]byte, error) {
	network, place, _ := strings.Cut(string(w), ":")
	c, err := net.Dial(network, place)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write(command); err != nil {
		return nil, err
	}
	response := make([]byte, 4096)
	n, err := c.Read(response)
	return response[:n], err
}

// TestCoreRefusesLive puts a real beacon with a real software TPM before a real core. Nothing is refused but for the one thing, and what
// is refused is refused before a single round was timed.
func TestCoreRefusesLive(t *testing.T) {
	p := newPlant(t)
	one, two := p.host(), p.host()
	for _, row := range []struct {
		name   string
		want   error
		change func(*scene)
	}{
		{"nothing wrong", nil, func(*scene) {}},
		{"a machine pinned by the directory", nil, func(s *scene) { s.expect.Machines = [][32]byte{one.claims.Machine} }},
		{"reference values of another build", attest.ErrMeasurement, func(s *scene) { s.expect.Measurements = [][]byte{{1, 2, 3}} }},
		{"security version below the minimum", attest.ErrTCB, func(s *scene) { s.expect.MinTCB++ }},
		{"register missing", tpm.ErrPCRMissing, func(s *scene) { s.evidence = show(p.open(one, []int{0, 1, 2, 3, 4, tpm.OwnPCR}), s.beacon.ID()) }},
		{"register value changed", tpm.ErrPCRDigest, func(s *scene) {
			s.forge(func(b *wireBody) { b.PCRs[0].Digest[0] ^= 1 })
		}},
		{"log with an event left out", tpm.ErrLogReplay, func(s *scene) { s.forge(func(b *wireBody) { b.Firmware = b.Firmware[1:] }) }},
		{"log with a build of its own", tpm.ErrLogReplay, func(s *scene) { s.forge(func(b *wireBody) { b.Own[0].Data = []byte("build 2") }) }},
		{"flipped bit in the signature", attest.ErrReportSignature, func(s *scene) { s.forge(func(b *wireBody) { b.S[31] ^= 1 }) }},
		{"attestation key that is not restricted", tpm.ErrAKAttributes, func(s *scene) { free := freeKey(t, one.address); s.forge(func(b *wireBody) { b.AK = free }) }},
		{"evidence of yesterday", attest.ErrNonce, func(s *scene) {
			old, err := s.evidence(t.Context(), [32]byte{1})
			if err != nil {
				t.Fatal(err)
			}
			s.evidence = func(context.Context, [32]byte) ([]byte, error) { return old, nil }
		}},
		// A thief of the beacon's key has the honest machine asked over a channel of his own, and shows the answer.
		{"evidence fetched over another channel", attest.ErrNonce, func(s *scene) {
			honest := s.evidence
			s.evidence = func(ctx context.Context, nonce [32]byte) ([]byte, error) {
				return honest(ctx, exchange.SharedNonce([][32]byte{exchange.ChannelNonce(nonce, [32]byte{1})}))
			}
		}},
		{"another key's evidence, relabelled", attest.ErrReportData, func(s *scene) {
			s.evidence = func(ctx context.Context, nonce [32]byte) ([]byte, error) {
				body, err := p.open(one, nil).Report(ctx, attest.Binding{Subject: identity.ID{1}, Nonce: nonce}.ReportData())
				if err != nil {
					return nil, err
				}
				return attest.EncodeEvidence(attest.Evidence{Version: attest.Version, Platform: attest.TPM, Subject: s.beacon.ID(), Nonce: nonce, Body: body})
			}
		}},
		{"evidence of another machine than the result", attest.ErrMixed, func(s *scene) { s.evidence = show(p.open(two, nil), s.beacon.ID()) }},
		{"machine that the directory does not name", attest.ErrMachine, func(s *scene) { s.expect.Machines = [][32]byte{two.claims.Machine} }},
		{"no evidence at all", attest.ErrNoEvidence, func(s *scene) { s.evidence = nil }},
		{"TPM that does not answer", attest.ErrNoEvidence, func(s *scene) {
			s.evidence = func(context.Context, [32]byte) ([]byte, error) { return nil, errors.New("no answer") }
		}},
		{"sim in production", attest.ErrSim, func(s *scene) {
			m := attest.SimMachine{Root: key(t, identity.RoleSimRoot, 1), Measurement: []byte{1}, TCB: 1, NowUnixNS: func() int64 { return time.Now().UnixNano() }}
			result := s.appraise(m, directory.Expectation{Platform: "sim", Measurements: [][]byte{{1}}, MinTCB: 1})
			s.result = func() []byte { return result }
		}},
		{"result past its expiry", attest.ErrResultExpired, func(s *scene) { s.later = attest.MaxResultTTL }},
		{"result for another audience", attest.ErrAudience, func(s *scene) { s.audience = "prod" }},
		{"no result", attest.ErrResult, func(s *scene) { s.result = func() []byte { return []byte("none") } }},
		{"machine revoked", attest.ErrMachineRevoked, func(s *scene) { s.revoked = revoke(one.claims.Machine, [32]byte{}) }},
		{"attestation key revoked", attest.ErrCredentialRevoked, func(s *scene) { s.revoked = revoke([32]byte{}, one.claims.Key) }},
	} {
		s := p.scene(one)
		row.change(s)
		t.Run(row.name, func(t *testing.T) {
			out, phases := s.ask(t)
			if row.want == nil {
				if len(out.Answers) != 1 {
					t.Fatalf("%v", out.Failures)
				}
				return
			}
			if len(out.Failures) != 1 || !errors.Is(out.Failures[0].Err, row.want) || !errors.Is(out.Failures[0].Err, prober.ErrAppraisal) {
				t.Fatalf("got %v, want %v", out.Failures, row.want)
			}
			for _, phase := range phases {
				if phase == prober.Opening || phase == prober.Timing {
					t.Errorf("it was let near the stopwatch: %v", phases)
				}
			}
		})
	}
	t.Run("registers extended after the appraisal", func(t *testing.T) {
		s := p.scene(two)
		if err := swtpm.Extend(two.address, tpm.Extend{PCR: 7, Digest: sha256.Sum256([]byte("another boot loader"))}); err != nil {
			t.Fatal(err)
		}
		out, _ := s.ask(t)
		if len(out.Failures) != 1 || !errors.Is(out.Failures[0].Err, tpm.ErrLogReplay) {
			t.Fatalf("%v", out.Failures)
		}
	})
}

func revoke(machine, credential [32]byte) *attest.Revocations {
	return &attest.Revocations{Version: 1, Sequence: 1, Machines: [][32]byte{machine}, Credentials: [][32]byte{credential},
		IssuedUnixNS: time.Now().UnixNano(), ExpiresUnixNS: time.Now().Add(time.Hour).UnixNano()}
}
