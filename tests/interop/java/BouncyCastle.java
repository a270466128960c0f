// Bouncy Castle signs, countersigns and verifies CMS for the interop tests.
//
//   version               its version
//   check FOLDER          a line per *.der: its name, then right or wrong for each signer and,
//                         in brackets, for each of its countersignatures
//   sign FOLDER ALGORITHM NAME OUT [BLOB]
//                         signs FOLDER/content with NAME.key and NAME.crt; with BLOB it
//                         countersigns the first signer of that message instead
//   sign FOLDER           does that for each line of FOLDER/jobs: ALGORITHM NAME OUT

import java.io.ByteArrayInputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationStore;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.util.Store;

public class BouncyCastle {
    public static void main(String[] given) throws Exception {
        BouncyCastleProvider provider = new BouncyCastleProvider();
        Security.addProvider(provider);
        if (given[0].equals("version")) {
            System.out.println("Bouncy Castle " + provider.getVersionStr());
        } else if (given[0].equals("check")) {
            check(Path.of(given[1]));
        } else if (given.length == 2) {
            for (String line : Files.readAllLines(Path.of(given[1]).resolve("jobs"))) {
                String[] job = line.split(" ");
                sign(Path.of(given[1]), job[0], job[1], job[2], null);
            }
        } else {
            sign(Path.of(given[1]), given[2], given[3], given[4], given.length > 5 ? given[5] : null);
        }
    }

    static void check(Path folder) throws Exception {
        List<Path> found = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.der")) {
            files.forEach(found::add);
        }
        for (Path file : found) {
            StringBuilder line = new StringBuilder(file.getFileName().toString());
            try {
                CMSSignedData message = new CMSSignedData(Files.readAllBytes(file));
                for (SignerInformation one : message.getSignerInfos()) {
                    line.append(' ').append(verdict(one, message.getCertificates()));
                    for (SignerInformation above : one.getCounterSignatures()) {
                        line.append('[').append(verdict(above, message.getCertificates())).append(']');
                    }
                }
            } catch (Exception problem) {
                line.append(" refused");
            }
            System.out.println(line);
        }
    }

    @SuppressWarnings("unchecked")
    static String verdict(SignerInformation signer, Store<X509CertificateHolder> store) {
        try {
            Collection<X509CertificateHolder> fitting = store.getMatches(signer.getSID());
            X509CertificateHolder certificate = fitting.iterator().next();
            boolean right = signer.verify(
                new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(certificate));
            return right ? "right" : "wrong";
        } catch (Exception problem) {
            return "wrong";
        }
    }

    static void sign(Path folder, String algorithm, String name, String out, String blob)
            throws Exception {
        byte[] keyBytes = Files.readAllBytes(folder.resolve(name + ".key"));
        String family = algorithm.startsWith("Ed") || algorithm.startsWith("ML-") ? algorithm
            : algorithm.contains("ECDSA") ? "EC" : "RSA";
        PrivateKey key = KeyFactory.getInstance(family, "BC")
            .generatePrivate(new PKCS8EncodedKeySpec(keyBytes));
        X509Certificate certificate = (X509Certificate) CertificateFactory
            .getInstance("X.509", "BC")
            .generateCertificate(new ByteArrayInputStream(
                Files.readAllBytes(folder.resolve(name + ".crt"))));
        ContentSigner signer = new JcaContentSignerBuilder(algorithm).setProvider("BC").build(key);
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        generator.addSignerInfoGenerator(new JcaSignerInfoGeneratorBuilder(
            new JcaDigestCalculatorProviderBuilder().setProvider("BC").build())
            .build(signer, certificate));
        generator.addCertificates(new JcaCertStore(List.of(certificate)));
        CMSSignedData made;
        if (blob == null) {
            made = generator.generate(
                new CMSProcessableByteArray(Files.readAllBytes(folder.resolve("content"))), true);
        } else {
            CMSSignedData message = new CMSSignedData(Files.readAllBytes(folder.resolve(blob)));
            SignerInformation first = message.getSignerInfos().iterator().next();
            SignerInformationStore above = generator.generateCounterSigners(first);
            SignerInformation with = SignerInformation.addCounterSigners(first, above);
            made = CMSSignedData.replaceSigners(message, new SignerInformationStore(with));
            // The certificate of who countersigned travels along.
            List<X509CertificateHolder> all = new ArrayList<>(
                message.getCertificates().getMatches(null));
            all.add(new X509CertificateHolder(certificate.getEncoded()));
            made = CMSSignedData.replaceCertificatesAndCRLs(
                made, new org.bouncycastle.util.CollectionStore<>(all), null, null);
        }
        Files.write(folder.resolve(out), made.getEncoded());
    }
}
