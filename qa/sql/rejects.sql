-- Pairs and frames without annotation, by reason.
SELECT method, compression, stage, reason, count(*) AS rejects
FROM rejects
GROUP BY ALL
ORDER BY ALL
