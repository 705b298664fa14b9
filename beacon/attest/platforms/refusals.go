package platforms

import (
	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/snp"
	"github.com/ursa-virtual/ursa/beacon/attest/tdx"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
)

// Refusals are the checks that can refuse evidence, an enrolment or a result, the more specific before those that they may wrap: what
// travels by name from a service to a machine.
func Refusals() []error {
	return []error{
		tpm.ErrUnknownEnroller, tpm.ErrRecord, tpm.ErrRecordExpired, tpm.ErrRecordChain, tpm.ErrEKUsage, tpm.ErrEKAttributes, tpm.ErrEKMismatch,
		tpm.ErrAKAlgorithm, tpm.ErrAKAttributes, tpm.ErrAKMovable, tpm.ErrAKName, tpm.ErrMagic, tpm.ErrNotQuote, tpm.ErrPCRSelection, tpm.ErrPCRDigest,
		tpm.ErrReportDataLength, tpm.ErrPCRMissing, tpm.ErrPCRUnused, tpm.ErrLogTooLong, tpm.ErrLogReplay, tpm.ErrNoBuild, tpm.ErrReconfigured,
		tpm.ErrEventType, tpm.ErrClockBack, tpm.ErrApplication, tpm.ErrChallenge, tpm.ErrActivation, tpm.ErrTooLate, tpm.ErrNotAdmitted,
		snp.ErrSigner, snp.ErrChip, snp.ErrVersion, snp.ErrVMPL, snp.ErrReportData, snp.ErrCertificate,
		tdx.ErrQuoteVersion, tdx.ErrModule, tdx.ErrReportData, tdx.ErrCertificate, tdx.ErrNoCollateral, tdx.ErrCollateral, tdx.ErrTCBStatus,
		attest.ErrNotLinked, attest.ErrSim, attest.ErrPlatform, attest.ErrNonce, attest.ErrSubject, attest.ErrNoVerifier, attest.ErrWrongRoot,
		attest.ErrCertificateRevoked, attest.ErrNoCRL, attest.ErrCRL, attest.ErrCollateralExpired, attest.ErrReportSignature, attest.ErrReportData,
		attest.ErrDebug, attest.ErrMigratable, attest.ErrMeasurement, attest.ErrTCB, attest.ErrMachine, attest.ErrEvidenceOld, attest.ErrEvidenceFuture,
		attest.ErrRevocationsMissing, attest.ErrRevocationsStale, attest.ErrMachineRevoked, attest.ErrCodeRevoked, attest.ErrCredentialRevoked,
		attest.ErrVersion, attest.ErrEvidence, attest.ErrWant, attest.ErrPolicy,
	}
}
