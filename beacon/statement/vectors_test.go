package statement_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/cryptotest"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The vectors are files that another implementation can use. `go test -run TestVectors -update` writes them anew from fixed seeds.
var update = flag.Bool("update", false, "write testdata anew")

// refusals are the names that vectors may use.
var refusals = map[string]error{"": nil}

func init() {
	for name, err := range map[string]error{
		"ErrVersion": statement.ErrVersion, "ErrSuite": statement.ErrSuite, "ErrKind": statement.ErrKind, "ErrFlags": statement.ErrFlags,
		"ErrNoBeacon": statement.ErrNoBeacon, "ErrNoCore": statement.ErrNoCore, "ErrNoHash": statement.ErrNoHash,
		"ErrPosition": statement.ErrPosition, "ErrNoUncertainty": statement.ErrNoUncertainty, "ErrUncertainty": statement.ErrUncertainty,
		"ErrNoDomain": statement.ErrNoDomain, "ErrDomains": statement.ErrDomains, "ErrEndBeforeStart": statement.ErrEndBeforeStart,
		"ErrNotAfter": statement.ErrNotAfter, "ErrRounds": statement.ErrRounds, "ErrTooFewRounds": statement.ErrTooFewRounds,
		"ErrTooManyRounds": statement.ErrTooManyRounds, "ErrRTT": statement.ErrRTT, "ErrPercentiles": statement.ErrPercentiles,
		"ErrGranularity": statement.ErrGranularity, "ErrTimerError": statement.ErrTimerError, "ErrPayloadLen": statement.ErrPayloadLen,
		"ErrStatement": statement.ErrStatement, "ErrWrongBeacon": statement.ErrWrongBeacon, "ErrWrongCore": statement.ErrWrongCore,
		"ErrChallengeHash": statement.ErrChallengeHash, "ErrWrongEpoch": statement.ErrWrongEpoch,
		"ErrWrongPosition": statement.ErrWrongPosition, "ErrWrongUncertainty": statement.ErrWrongUncertainty,
		"ErrWrongDomains": statement.ErrWrongDomains, "ErrPreviousProof": statement.ErrPreviousProof, "ErrFuture": statement.ErrFuture,
		"ErrExpired": statement.ErrExpired, "ErrBeaconSignature": statement.ErrBeaconSignature,
		"ErrNoTimedKey": statement.ErrNoTimedKey, "ErrTimedKeys": statement.ErrTimedKeys, "ErrUnknownBeacon": statement.ErrUnknownBeacon,
		"ErrNotInCommittee": statement.ErrNotInCommittee, "ErrProof": statement.ErrProof, "ErrProofSignature": statement.ErrProofSignature,
		"ErrResultMissing": statement.ErrResultMissing, "ErrResultUnused": statement.ErrResultUnused,
		"ErrDuplicateSession": statement.ErrDuplicateSession, "ErrDuplicateBeacon": statement.ErrDuplicateBeacon,
		"ErrStatementOrder": statement.ErrStatementOrder, "ErrNoStatement": statement.ErrNoStatement,
		"ErrWrongNonce": statement.ErrWrongNonce, "ErrWrongPolicy": statement.ErrWrongPolicy, "ErrUnknownGate": statement.ErrUnknownGate,
		"ErrChallengeSigned": statement.ErrChallengeSigned, "ErrChallengeExpired": statement.ErrChallengeExpired,
		"ErrChallengeEarly": statement.ErrChallengeEarly, "ErrNoNonce": statement.ErrNoNonce, "ErrNoPolicy": statement.ErrNoPolicy,
		"ErrTTL": statement.ErrTTL, "ErrRoundLimits": statement.ErrRoundLimits, "ErrCommittee": statement.ErrCommittee,
		"ErrCommitteeStranger": statement.ErrCommitteeStranger, "ErrWrongGate": statement.ErrWrongGate,
		"ErrWrongDirectory": statement.ErrWrongDirectory, "ErrChallenge": statement.ErrChallenge, "ErrCoreRole": statement.ErrCoreRole,
	} {
		refusals["statement."+name] = err
	}
}

// nameOf finds the name of a sentinel for writing.
func nameOf(t *testing.T, err error) string {
	t.Helper()
	for name, e := range refusals {
		if e == err {
			return name
		}
	}
	t.Fatalf("%v has no name in the vectors", err)
	return ""
}

// hexBytes is a byte string that JSON shows in hexadecimal.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(s []byte) (err error) {
	*b, err = hex.DecodeString(string(s))
	return err
}

// sceneFile is what a verifier knows when it meets the vectors of this folder.
type sceneFile struct {
	About         string   `json:"about"`
	DirectoryRoot hexBytes `json:"directory_root"`
	Directory     hexBytes `json:"directory"`
	Challenge     hexBytes `json:"challenge"`
	Gate          hexBytes `json:"gate_id"`
	Core          hexBytes `json:"core_public"`
	NonceG        hexBytes `json:"nonce_g"`
	PolicyHash    hexBytes `json:"policy_hash"`
	PreviousProof hexBytes `json:"previous_proof"`
	NowUnixNS     int64    `json:"now_unix_ns,string"`
}

type vector struct {
	Name      string   `json:"name"`
	Data      hexBytes `json:"data"`
	RefusedBy string   `json:"refused_by"`
}

type vectorFile struct {
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(name, err)
	}
}

func writeJSON(t *testing.T, name string, v any) {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	var f sceneFile
	readJSON(t, "scene.json", &f)
	root, err := identity.ParsePublic(f.DirectoryRoot)
	if err != nil {
		t.Fatal(err)
	}
	core, err := identity.ParsePublic(f.Core)
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.Verify(f.Directory, []identity.Public{root}, 1, f.NowUnixNS)
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := identity.DecodeEnvelope(f.Challenge, statement.MaxChallengeSize)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := statement.VerifyChallenge(challenge, d, f.NowUnixNS)
	if err != nil {
		t.Fatal(err)
	}
	x := statement.Context{Directory: d, Asked: asked, Core: core, PreviousProof: [32]byte(f.PreviousProof), NowUnixNS: f.NowUnixNS}
	expect := statement.Expect{Directory: d, Gate: identity.ID(f.Gate), Core: core.ID(), NonceG: [32]byte(f.NonceG),
		PolicyHash: [32]byte(f.PolicyHash), PreviousProof: [32]byte(f.PreviousProof), NowUnixNS: f.NowUnixNS}
	for file, verify := range map[string]func([]byte) error{
		"challenges.json": func(b []byte) error {
			e, err := identity.DecodeEnvelope(b, statement.MaxChallengeSize)
			if err == nil {
				_, err = statement.VerifyChallenge(e, d, f.NowUnixNS)
			}
			return err
		},
		"payloads.json": func(b []byte) error { _, err := statement.Decode(b); return err },
		"statements.json": func(b []byte) error {
			e, err := identity.DecodeEnvelope(b, statement.MaxStatementSize)
			if err == nil {
				_, err = statement.VerifyStatement(e, x)
			}
			return err
		},
		"proofs.json": func(b []byte) error { _, err := statement.VerifyProof(b, expect); return err },
	} {
		var list vectorFile
		readJSON(t, file, &list)
		good := 0
		for _, v := range list.Vectors {
			want, known := refusals[v.RefusedBy]
			if !known {
				t.Errorf("%s: %s: no check is called %q", file, v.Name, v.RefusedBy)
			} else if err := verify(v.Data); !errors.Is(err, want) {
				t.Errorf("%s: %s: got %v, want %v", file, v.Name, err, want)
			}
			if v.RefusedBy == "" {
				good++
			}
		}
		if good == 0 || good == len(list.Vectors) {
			t.Errorf("%s: %d of %d vectors are good", file, good, len(list.Vectors))
		}
	}
}

func writeVectors(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 2) // the hedge of ML-DSA
	s := newScene(t, nil)
	publics := func(p identity.Public) []byte {
		b, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	data, err := directory.Sign(&s.draft, s.roots...)
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := s.envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	gate, previous := s.gate.ID(), statement.FirstProof(s.core.ID())
	writeJSON(t, "scene.json", sceneFile{
		About:         "What the verifier of the other files knows. The directory needs one signature of directory_root.",
		DirectoryRoot: publics(s.roots[0].Public()), Directory: data, Challenge: challenge, Gate: gate[:], Core: publics(s.core.Public()),
		NonceG: s.challenge.NonceG[:], PolicyHash: s.challenge.PolicyHash[:], PreviousProof: previous[:], NowUnixNS: now,
	})
	writeChallengeVectors(t, s)
	writeStatementVectors(t, s)
	writeProofVectors(t, s)
}

func writeChallengeVectors(t *testing.T, s *scene) {
	var list []vector
	for _, c := range challengeForgeries() {
		ch := s.asked.Challenge()
		c.forge(&ch)
		payload, err := canon.Marshal(ch)
		if err != nil {
			t.Fatal(err)
		}
		e, err := identity.Seal(s.gate, identity.TypeChallenge, payload)
		if err != nil {
			t.Fatal(err)
		}
		data, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, vector{c.name, data, nameOf(t, c.want)})
	}
	flipped := slices.Clone(list[0].Data)
	flipped[len(flipped)-1] ^= 1
	list = append(list, vector{"signature flipped", flipped, "statement.ErrChallengeSigned"})
	writeJSON(t, "challenges.json", vectorFile{"Envelopes of type challenge, for VerifyChallenge under the scene's directory.", list})
}

// writeStatementVectors writes the payloads that are refused by themselves without signatures, the others signed.
func writeStatementVectors(t *testing.T, s *scene) {
	encode := func(e identity.Envelope) []byte {
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	honest, err := s.statement(0).Encode()
	if err != nil {
		t.Fatal(err)
	}
	signed := s.sign(s.beacons[0], honest)
	payloads := []vector{{"honest", honest, ""}}
	statements := []vector{{"honest", encode(signed), ""}}
	for _, c := range statementForgeries(s) {
		st := s.statement(0)
		c.forge(&st)
		b, err := canon.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := statement.Decode(b); err != nil {
			payloads = append(payloads, vector{c.name, b, nameOf(t, c.want)})
		} else {
			statements = append(statements, vector{c.name, encode(s.sign(s.beacons[0], b)), nameOf(t, c.want)})
		}
	}
	for name, b := range map[string][]byte{"trailing byte": append(slices.Clone(honest), 0), "cut": honest[:len(honest)-1],
		"version in two bytes": append([]byte{honest[0], honest[1], honest[2], 0x01, 0x18, 0x01}, honest[5:]...),
		"key 32":               append(append([]byte{0xb8, 32}, honest[2:]...), 0x18, 32, 0)} {
		payloads = append(payloads, vector{name, b, "statement.ErrStatement"})
	}
	slices.SortStableFunc(payloads[1:], func(a, b vector) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	flip := func(b []byte, i int) []byte { b = slices.Clone(b); b[i] ^= 1; return b }
	with := func(change func(*identity.Envelope)) []byte { c := signed; change(&c); return encode(c) }
	statements = append(statements,
		vector{"Ed25519 half flipped", with(func(c *identity.Envelope) { c.Signature = flip(c.Signature, 0) }), "statement.ErrBeaconSignature"},
		vector{"ML-DSA half flipped", with(func(c *identity.Envelope) { c.Signature = flip(c.Signature, 64) }), "statement.ErrBeaconSignature"},
		vector{"unknown beacon", with(func(c *identity.Envelope) { c.Signer[0] ^= 1 }), "statement.ErrUnknownBeacon"},
		vector{"beacon that was not asked", encode(s.sign(s.beacons[3], honest)), "statement.ErrNotInCommittee"},
	)
	writeJSON(t, "payloads.json", vectorFile{"Statements' payloads, refused by themselves.", payloads})
	writeJSON(t, "statements.json", vectorFile{"Envelopes of type statement, for VerifyStatement in the scene.", statements})
}

func writeProofVectors(t *testing.T, s *scene) {
	one := func(change func(*statement.Proof)) []byte {
		p := s.full()
		p.Statements = p.Statements[:1]
		change(&p)
		payload, err := canon.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return s.signProof(payload)
	}
	honest := one(func(*statement.Proof) {})
	flip := func(i int) []byte { b := slices.Clone(honest); b[i] ^= 1; return b }
	writeJSON(t, "proofs.json", vectorFile{"Encoded proofs of one statement, for VerifyProof in the scene.", []vector{
		{"honest", honest, ""},
		{"signature flipped", flip(len(honest) - 1), "statement.ErrProofSignature"},
		{"cut", honest[:len(honest)-1], "statement.ErrProof"},
		{"another core's key", one(func(p *statement.Proof) { p.Core = sceneKeys()[identity.RoleCore][1].Public() }), "statement.ErrWrongCore"},
		{"no statement", one(func(p *statement.Proof) { p.Statements = nil }), "statement.ErrNoStatement"},
		{"a beacon twice", one(func(p *statement.Proof) { p.Statements = append(p.Statements, p.Statements[0]) }), "statement.ErrDuplicateBeacon"},
		{"two timed keys", one(func(p *statement.Proof) {
			st := s.statement(1)
			st.TimedKey[0] ^= 1
			b, err := st.Encode()
			if err != nil {
				t.Fatal(err)
			}
			p.Statements = append(p.Statements, s.sign(s.beacons[1], b))
			slices.SortFunc(p.Statements, func(a, b identity.Envelope) int { return a.Signer.Compare(b.Signer) })
		}), "statement.ErrTimedKeys"},
		{"another chain", one(func(p *statement.Proof) { p.PreviousProof[0] ^= 1 }), "statement.ErrPreviousProof"},
		{"attestation result missing", one(func(p *statement.Proof) { p.Results = p.Results[1:] }), "statement.ErrResultMissing"},
		{"attestation result too many", one(func(p *statement.Proof) { p.Results = append(p.Results, []byte("\xff")) }), "statement.ErrResultUnused"},
		{"challenge flipped", one(func(p *statement.Proof) {
			p.Challenge.Payload = append([]byte{}, p.Challenge.Payload...)
			p.Challenge.Payload[30] ^= 1
		}), "statement.ErrChallengeSigned"},
	}})
}
