package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/snp"
	"github.com/ursa-virtual/ursa/beacon/attest/tdx"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// attestCommand is the noun of evidence: what runs on a machine, and whose word that is.
func attestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Evidence of what runs on a machine: enrol, collect, verify, appraise, and the reference values",
		Long: "Evidence says what runs, never where. A TPM is enrolled once; then evidence is collected for a key and a nonce, verified\n" +
			"offline against the manufacturer's roots, and held against manifests that the keepers of reference values signed.",
		Example: "  ursa attest enrol --root maker.pem --key appraiser.key --out record.ursa\n" +
			"  ursa attest collect --platform tpm --record record.ursa --subject ID --nonce HEX --out evidence.ursa\n" +
			"  ursa attest verify evidence.ursa --subject ID --nonce HEX --root maker.pem --enroller appraiser.json\n" +
			"  ursa attest manifest sign draft.json --key keepers/manifest-1.key --out manifest.ursa",
	}
	cmd.AddCommand(attestShowCommand(), attestVerifyCommand(), attestAppraiseCommand(), attestManifestCommand(), attestEnrolCommand(),
		attestCollectCommand(), attestKeyCommand(), attestMachineCommand(), attestServeCommand(), attestRevokeCommand(),
		attestSealCommand(), attestUnsealCommand())
	return cmd
}

// rows are named values for people and, as one object, for machines.
type rows [][2]string

func (r *rows) add(name, format string, args ...any) {
	*r = append(*r, [2]string{name, fmt.Sprintf(format, args...)})
}

func (r rows) print(cmd *cobra.Command, asJSON bool) error {
	if asJSON {
		object := make(map[string]string, len(r))
		for _, x := range r {
			object[strings.ReplaceAll(x[0], " ", "_")] = x[1]
		}
		return printJSON(cmd, object)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, x := range r {
		fmt.Fprintf(w, "%s\t%s\n", x[0], x[1])
	}
	return w.Flush()
}

func instant(unixNS int64) string { return time.Unix(0, unixNS).UTC().Format(time.RFC3339) }

// errUnknownFile reports a file that none of the readers knows.
var errUnknownFile = errors.New("is neither evidence, an attestation result, a manifest, a revocation list nor an enrolment")

func attestShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show FILE",
		Short:   "Show evidence, a result, a manifest, a revocation list or an enrolment, without believing it",
		Long:    "Reads the file's form and prints what it claims. No signature is checked: that is 'verify'.",
		Example: "  ursa attest show evidence.ursa\n  ursa attest show manifest.ursa --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readLimited(args[0], attest.MaxSigned)
			if err != nil {
				return err
			}
			if e, err := attest.DecodeEvidence(data); err == nil {
				return evidenceRows(e).print(cmd, asJSON)
			}
			if r, signer, err := attest.DecodeResult(data); err == nil {
				return resultRows(r, signer).print(cmd, asJSON)
			}
			if m, signers, err := attest.DecodeManifest(data); err == nil {
				return manifestRows(m, signers).print(cmd, asJSON)
			}
			if r, enroller, err := tpm.DecodeRecord(data); err == nil {
				return recordRows(r, enroller).print(cmd, asJSON)
			}
			if l, signers, err := attest.DecodeRevocations(data); err == nil {
				return revocationRows(l, signers).print(cmd, asJSON)
			}
			return unknownFile(args[0], data)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func evidenceRows(e attest.Evidence) rows {
	var r rows
	r.add("kind", "evidence, not verified")
	r.add("platform", "%s", e.Platform)
	r.add("subject", "%s", e.Subject)
	r.add("timed key", "%s", timedText(e.TimedKey))
	r.add("nonce", "%x", e.Nonce)
	r.add("body bytes", "%d", len(e.Body))
	return r
}

// timedText names a core's timed key, if there is one.
func timedText(t identity.TimedKeyID) string {
	if t.IsZero() {
		return "none"
	}
	return t.String()
}

func resultRows(x attest.Result, signer identity.ID) rows {
	var r rows
	r.add("kind", "attestation result, not verified")
	r.add("status", "%s", x.Status)
	r.add("subject", "%s", x.Subject)
	r.add("platform", "%s", x.Platform)
	r.add("measurement", "%x", x.Measurement)
	r.add("tcb", "%s", attest.TCBText(x.Platform, x.TCB))
	r.add("machine", "%x", x.Machine)
	r.add("timed key", "%s", timedText(x.TimedKey))
	r.add("audience", "%s", x.Audience)
	r.add("issued", "%s", instant(x.IssuedUnixNS))
	r.add("expires", "%s", instant(x.ExpiresUnixNS))
	r.add("appraiser", "%s", signer)
	return r
}

func recordRows(x tpm.Record, enroller identity.ID) rows {
	var r rows
	r.add("kind", "enrolment of a TPM, not verified")
	r.add("machine", "%x", x.Machine)
	r.add("attestation key", "%x", x.AKName)
	r.add("issued", "%s", instant(x.IssuedUnixNS))
	r.add("expires", "%s", instant(x.ExpiresUnixNS))
	r.add("enroller", "%s", enroller)
	return r
}

func manifestRows(m attest.Manifest, signers []identity.ID) rows {
	var r rows
	r.add("kind", "manifest, not verified")
	r.add("build", "%s", m.Build)
	r.add("number", "%d", m.Number)
	r.add("program", "%x", m.Program)
	r.add("issued", "%s", instant(m.IssuedUnixNS))
	r.add("expires", "%s", instant(m.ExpiresUnixNS))
	for _, e := range m.Accept {
		words := []string{"minimum " + attest.TCBText(attest.Platform(e.Platform), e.MinTCB)}
		for _, x := range e.Measurements {
			words = append(words, hex.EncodeToString(x))
		}
		r.add("platform "+e.Platform, "%s", strings.Join(words, " "))
	}
	for i, s := range signers {
		r.add(fmt.Sprintf("signer %d", i+1), "%s", s)
	}
	return r
}

// aboutFlags name the key and the nonce that evidence is about.
type aboutFlags struct{ subject, nonce string }

func (f *aboutFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.subject, "subject", "", "`ID` of the key that the evidence is about")
	cmd.Flags().StringVar(&f.nonce, "nonce", "", "the relying side's nonce, 64 hexadecimal digits")
}

func (f *aboutFlags) read(cmd *cobra.Command) (subject identity.ID, nonce [32]byte, err error) {
	if err := needFlags(cmd, "subject", "nonce"); err != nil {
		return subject, nonce, err
	}
	if subject, err = identity.ParseID(f.subject); err != nil {
		return subject, nonce, usagef("--subject: %v", err)
	}
	b, err := hex.DecodeString(f.nonce)
	if err != nil || len(b) != len(nonce) {
		return subject, nonce, usagef("--nonce %q: use 64 hexadecimal digits", f.nonce)
	}
	return subject, [32]byte(b), nil
}

// binding is what evidence that is collected now shall be bound to.
func (f *aboutFlags) binding(cmd *cobra.Command, timed string) (b attest.Binding, err error) {
	if b.Subject, b.Nonce, err = f.read(cmd); err != nil || timed == "" {
		return b, err
	}
	if b.TimedKey, err = identity.ParseTimedKeyID(timed); err != nil {
		return b, usagef("--timed-key %q: %v", timed, err)
	}
	return b, nil
}

func attestVerifyCommand() *cobra.Command {
	var trust trustFlags
	var about aboutFlags
	var keepers keepersFlags
	var manifests []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify EVIDENCE",
		Short: "Verify evidence offline, and hold it against manifests",
		Long: "Checks signatures, chains and form of evidence, that it is about the key and the nonce, and that its machine is neither in\n" +
			"debug mode nor migratable. With --manifest the code and the security version are held against signed reference values;\n" +
			"without, they are only printed.\n\nExit status 0: verified. 1: refused, with the check that failed.",
		Example: "  ursa attest verify evidence.ursa --subject ID --nonce HEX --root maker.pem --enroller appraiser.json\n" +
			"  ursa attest verify evidence.ursa --subject ID --nonce HEX --manifest manifest.ursa --keepers keepers.json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			subject, nonce, err := about.read(cmd)
			if err != nil {
				return err
			}
			data, err := readLimited(args[0], attest.MaxEvidenceSize)
			if err != nil {
				return err
			}
			r, err := verifyEvidence(data, subject, nonce, &trust, func(c attest.Claims, p attest.Platform) (attest.Policy, error) {
				return keepers.policy(manifests, c, p)
			})
			if err != nil {
				return fmt.Errorf("%s is refused: %w", args[0], mistaken(data, kindEvidence, err))
			}
			return r.print(cmd, asJSON)
		},
	}
	trust.register(cmd)
	about.register(cmd)
	keepers.register(cmd)
	cmd.Flags().StringSliceVar(&manifests, "manifest", nil, "signed manifest `FILE` that must name what runs")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func verifyEvidence(data []byte, subject identity.ID, nonce [32]byte, trust *trustFlags,
	policy func(attest.Claims, attest.Platform) (attest.Policy, error)) (rows, error) {
	now := time.Now().UnixNano()
	e, err := attest.DecodeEvidence(data)
	switch {
	case err != nil:
		return nil, err
	case e.Subject != subject:
		return nil, fmt.Errorf("evidence: %w: %s", attest.ErrSubject, e.Subject.Short())
	case e.Nonce != nonce:
		return nil, fmt.Errorf("evidence: %w", attest.ErrNonce)
	}
	v, err := trust.verifier(e.Platform)
	if err != nil {
		return nil, err
	}
	claims, err := v.Verify(e.Body, now)
	if err != nil {
		return nil, err
	}
	p, err := policy(claims, e.Platform)
	if err != nil {
		return nil, err
	}
	if err := attest.Judge(e.Platform, claims, e.Binding().ReportData(), p, now); err != nil {
		return nil, err
	}
	var r rows
	r.add("verified", "evidence")
	r.add("platform", "%s", e.Platform)
	r.add("subject", "%s", subject)
	r.add("timed key", "%s", timedText(e.TimedKey))
	r.add("measurement", "%x", claims.Measurement)
	if claims.Configuration != [32]byte{} {
		r.add("configuration", "%x", claims.Configuration)
		r.add("configured measurement", "%x", attest.Configured(claims.Measurement, claims.Configuration))
	}
	r.add("tcb", "%s", attest.TCBText(e.Platform, claims.TCB))
	r.add("machine", "%x", claims.Machine)
	return r, nil
}

func attestEnrolCommand() *cobra.Command {
	var keys keyFlags
	var trust trustFlags
	var address, key, out string
	var issuers []string
	var days int
	cmd := &cobra.Command{
		Use:   "enrol",
		Short: "Enrol this machine's TPM: its attestation key is bound to the maker's endorsement by credential activation",
		Long: "Run by the appraiser's people at the machine, with the appraiser's key: the record says that they saw this TPM in this\n" +
			"machine, and only they can know.",
		Example: "  ursa attest enrol --root maker.pem --issuer intermediate.pem --key appraiser.key --out record.ursa",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "root", "key", "out"); err != nil {
				return err
			}
			roots, err := readCertificates(trust.roots)
			if err != nil {
				return err
			}
			protect, err := keys.protector(cmd, false)
			if err != nil {
				return err
			}
			k, err := identity.LoadKey(key, protect)
			if err != nil {
				return err
			}
			m, err := openTPM(tpm.Config{Address: address}, issuers)
			if err != nil {
				return err
			}
			defer m.Close()
			record, err := enrol(m, &tpm.Enroller{Key: k, Endorsement: tpm.Endorsement{Roots: roots}, TTL: time.Duration(days) * 24 * time.Hour})
			if err != nil {
				return err
			}
			return writeWhole(out, record, 0o644)
		},
	}
	keys.register(cmd)
	trust.register(cmd)
	for _, name := range []string{"enroller", "tcb-info", "no-tcb-info", "crl", "need-crl"} {
		_ = cmd.Flags().MarkHidden(name) // of the other kinds of evidence
	}
	tpmFlags(cmd, &address, &issuers)
	cmd.Flags().StringVar(&key, "key", "", "the appraiser's key `FILE`")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the enrolment record")
	cmd.Flags().IntVar(&days, "days", 365, "how long the record holds")
	return cmd
}

func tpmFlags(cmd *cobra.Command, address *string, issuers *[]string) {
	cmd.Flags().StringVar(address, "tpm", tpm.DefaultAddress, "`ADDRESS` of the TPM: a device, unix:PATH or tcp:HOST:PORT (swtpm)")
	cmd.Flags().StringSliceVar(issuers, "issuer", nil, "PEM `FILE` with certificates between the endorsement certificate and its root")
}

func openTPM(c tpm.Config, issuers []string) (*tpm.Machine, error) {
	certificates, err := readCertificates(issuers)
	if err != nil {
		return nil, err
	}
	for _, x := range certificates {
		c.Issuers = append(c.Issuers, x.Raw)
	}
	return tpm.Open(c)
}

// enrol walks the three steps of credential activation.
func enrol(m *tpm.Machine, e *tpm.Enroller) ([]byte, error) {
	application, err := m.Apply()
	if err != nil {
		return nil, err
	}
	challenge, pending, err := e.Challenge(application, rand.Reader, time.Now())
	if err != nil {
		return nil, err
	}
	secret, err := m.Activate(challenge)
	if err != nil {
		return nil, err
	}
	return e.Finish(pending, secret, time.Now())
}

func attestCollectCommand() *cobra.Command {
	var about aboutFlags
	var platform, record, ownLog, firmwareLog, vcek, address, beacon, timed, out string
	var issuers []string
	cmd := &cobra.Command{
		Use:   "collect",
		Short: "Collect evidence on this machine, for a key and a nonce",
		Long: "On a TPM this program is measured first: its SHA-256 is extended into register 14 and stays there until the next boot.\n" +
			"SEV-SNP and TDX are asked through the kernel (/sys/kernel/config/tsm/report).",
		Example: "  ursa attest collect --platform tpm --record record.ursa --own-log /run/ursa/tpm.log --subject ID --nonce HEX --out evidence.ursa\n" +
			"  ursa attest collect --platform sev-snp --subject ID --nonce HEX --out evidence.ursa",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFlags(cmd, "platform", "out"); err != nil {
				return err
			}
			b, err := about.binding(cmd, timed)
			if err != nil {
				return err
			}
			var a attest.Attester
			switch attest.Platform(platform) {
			case attest.TPM:
				a, err = measuredTPM(tpm.Config{Address: address, FirmwareLog: firmwareLog, OwnLog: ownLog}, record, issuers, beacon)
			case attest.SEVSNP:
				m := snp.Machine{}
				if vcek != "" {
					m.VCEK, err = readLimited(vcek, maxSmallFile)
				}
				a = m
			case attest.TDX:
				a = &tdx.Machine{}
			default:
				return usagef("--platform %q: use tpm, sev-snp or tdx", platform)
			}
			if err != nil {
				return err
			}
			evidence, err := attest.Collect(cmd.Context(), a, b)
			if err != nil {
				return err
			}
			return writeWhole(out, evidence, 0o644)
		},
	}
	about.register(cmd)
	tpmFlags(cmd, &address, &issuers)
	cmd.Flags().StringVar(&timed, "timed-key", "", "for a core: `NAME` of the timed key that it drew when it started (DIR/timed-key)")
	cmd.Flags().StringVar(&platform, "platform", "", "tpm, sev-snp or tdx")
	cmd.Flags().StringVar(&record, "record", "", "tpm: enrolment record `FILE`")
	cmd.Flags().StringVar(&ownLog, "own-log", "", "tpm: `FILE` that remembers what was measured since the boot; must not outlive one")
	cmd.Flags().StringVar(&firmwareLog, "firmware-log", "", "tpm: `FILE` of the firmware's log, if it is not the kernel's")
	cmd.Flags().StringVar(&beacon, "beacon", "", "tpm: a beacon's `DIR`: its clock source and configured place are measured too")
	cmd.Flags().StringVar(&vcek, "vcek", "", "sev-snp: `FILE` with the chip's certificate, DER, if the host does not give it")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` for the evidence")
	return cmd
}

// measuredTPM opens the TPM and measures this program and, for a beacon, its configuration. The way to the TPM is closed when the process ends.
func measuredTPM(c tpm.Config, record string, issuers []string, beacon string) (*tpm.Machine, error) {
	if record == "" {
		return nil, usagef("evidence of a TPM: say --record FILE, as 'ursa attest enrol' writes it")
	}
	var err error
	if c.Record, err = readLimited(record, tpm.MaxRecordSize); err != nil {
		return nil, err
	}
	m, err := openTPM(c, issuers)
	if err != nil {
		return nil, err
	}
	if err := measureProgram(m); err != nil || beacon == "" {
		return m, err
	}
	configuration, err := beaconConfiguration(beacon)
	if err != nil {
		return nil, err
	}
	return m, measureConfiguration(m, configuration)
}

// measureConfiguration extends a beacon's configuration into the TPM.
func measureConfiguration(m *tpm.Machine, c *attest.Configuration) error {
	encoded, err := c.Encode()
	if err != nil {
		return err
	}
	return m.Measure(tpm.Event{Type: tpm.EventConfiguration, Data: encoded})
}

// measureProgram extends this program into the TPM.
func measureProgram(m *tpm.Machine) error {
	program, err := programHash()
	if err != nil {
		return err
	}
	return m.Measure(tpm.Event{Type: tpm.EventBuild, Data: program[:]})
}

// programHash is the SHA-256 of the running program.
func programHash() ([32]byte, error) {
	name, err := os.Executable()
	if err != nil {
		return [32]byte{}, err
	}
	data, err := os.ReadFile(name)
	return sha256.Sum256(data), err
}

// policy names what evidence may say: what verified manifests name or, without any, what it says itself.
func (f *keepersFlags) policy(manifests []string, c attest.Claims, p attest.Platform) (attest.Policy, error) {
	if len(manifests) == 0 {
		return attest.Policy{Accept: []directory.Expectation{{Platform: string(p), MinTCB: c.TCB,
			Measurements: [][]byte{attest.Configured(c.Measurement, c.Configuration)}}}}, nil
	}
	list, err := f.verifyAll(manifests)
	return attest.PolicyOfManifests(c.Configuration, list...), err
}

// policyOf is what manifests say of machines that measure no configuration.
func (f *keepersFlags) policyOf(manifests []string) (attest.Policy, error) {
	list, err := f.verifyAll(manifests)
	return attest.PolicyOfManifests([32]byte{}, list...), err
}

func (f *keepersFlags) verifyAll(manifests []string) ([]attest.Manifest, error) {
	var list []attest.Manifest
	for _, name := range slices.Compact(manifests) {
		m, err := f.verify(name)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}
